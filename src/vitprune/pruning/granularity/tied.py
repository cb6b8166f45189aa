"""Groupings that are pruned by the same share of groups."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.granularity.grouping import Grouping, Part


@dataclass(frozen=True)
class TiedGroupings:
    """One grouping, or several pruned by the same share of groups, in increments.

    An increment is the smallest number of groups that an allocation can add. For a plain grouping,
    an increment is one group. With pools or `round_to`, an increment takes `round_to` groups of
    every pool. For tied groupings, an increment is the smallest share of groups that is a multiple
    of `round_to` in every pool of every grouping.

    Attributes:
        groupings: Tied groupings.

    """

    groupings: tuple[Grouping, ...]

    @property
    def layers(self) -> list[Layer]:
        """The layers of all groupings."""
        return [layer for grouping in self.groupings for layer in grouping.layers]

    @property
    def parts(self) -> list[Part]:
        """The parts of all groupings."""
        return [part for grouping in self.groupings for part in grouping.parts]

    @property
    def groups_per_increment(self) -> int:
        """Number of groups in one increment."""
        return sum(grouping.pools * self.pool_groups(grouping) for grouping in self.groupings)

    @cached_property
    def increments(self) -> int:
        """Number of increments that make up all groups."""
        return math.gcd(
            *(grouping.groups // grouping.pools // grouping.round_to for grouping in self.groupings)
        )

    def pool_groups(self, grouping: Grouping) -> int:
        """Return the number of groups of each pool of a grouping in one increment."""
        return grouping.groups // grouping.pools // self.increments

    @property
    def increment_size(self) -> int:
        """Number of weights in one increment."""
        return sum(
            grouping.pools * self.pool_groups(grouping) * grouping.group_size
            for grouping in self.groupings
        )

    @property
    def weights(self) -> int:
        """Number of weights in all increments."""
        return self.increments * self.increment_size

    @property
    def prunable(self) -> int:
        """Most increments that can be pruned."""
        return min(grouping.prunable // self.pool_groups(grouping) for grouping in self.groupings)


def tie(groupings: Iterable[Grouping]) -> list[TiedGroupings]:
    """Collect groupings with the same tie, in order; those without a tie stay alone."""
    tied: dict[object, list[Grouping]] = {}
    for index, grouping in enumerate(groupings):
        tied.setdefault(index if grouping.tie is None else grouping.tie, []).append(grouping)
    return [TiedGroupings(tuple(found)) for found in tied.values()]
