"""Groupings that are pruned by the same number of groups."""

from collections.abc import Iterable
from dataclasses import dataclass

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.granularity.grouping import Grouping


@dataclass(frozen=True)
class TiedGroupings:
    """One grouping, or several pruned by the same number of groups, in increments.

    An increment is the smallest number of groups that an allocation can add. Of a plain grouping it
    is one group. With pools, tied groupings or `round_to` it is that many of the lowest groups of
    every pool of every grouping.

    Attributes:
        groupings: Tied groupings; their pools have equal numbers of groups and one `round_to`.

    """

    groupings: tuple[Grouping, ...]

    @property
    def layers(self) -> list[Layer]:
        """The layers of all groupings."""
        return [layer for grouping in self.groupings for layer in grouping.layers]

    @property
    def round_to(self) -> int:
        """Number of groups of each pool in one increment."""
        return self.groupings[0].round_to

    @property
    def groups_per_increment(self) -> int:
        """Number of groups in one increment."""
        return sum(grouping.pools for grouping in self.groupings) * self.round_to

    @property
    def increments(self) -> int:
        """Number of increments that make up all groups."""
        first = self.groupings[0]
        return first.groups // first.pools // self.round_to

    @property
    def increment_size(self) -> int:
        """Number of weights in one increment."""
        in_pools = sum(grouping.pools * grouping.group_size for grouping in self.groupings)
        return in_pools * self.round_to

    @property
    def weights(self) -> int:
        """Number of weights in all increments."""
        return self.increments * self.increment_size

    @property
    def prunable(self) -> int:
        """Most increments that can be pruned."""
        return min(grouping.prunable for grouping in self.groupings) // self.round_to


def tie(groupings: Iterable[Grouping]) -> list[TiedGroupings]:
    """Collect groupings with the same tie, in order; those without a tie stay alone."""
    tied: dict[object, list[Grouping]] = {}
    for index, grouping in enumerate(groupings):
        tied.setdefault(index if grouping.tie is None else grouping.tie, []).append(grouping)
    return [TiedGroupings(tuple(found)) for found in tied.values()]
