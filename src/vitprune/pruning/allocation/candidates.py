"""What an allocation chooses among: units that lose the same number of groups, in steps that keep them so."""

from collections.abc import Callable, Iterable
from functools import cached_property

import torch
from torch import Tensor

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning import masks
from vitprune.pruning.criteria.criterion import Criterion
from vitprune.pruning.granularity.units import Unit
from vitprune.pruning.masks.selection import keep_highest, rank_in_row


class Candidate:
    """Units that are about to be pruned together.

    A step is the least that can fall: one group of a plain unit; of pools, of tied units or with
    `round_to`, that many of the lowest groups in each pool. Scores are computed when they are asked
    for, and freed once the steps have fallen.

    Args:
        units: One unit, or several that are tied.
        score: Returns the score of each group of a unit, (G,), higher = keep; -inf for what fell in
            an earlier round.
        criterion: The rule behind the scores.

    """

    def __init__(
        self, units: list[Unit], score: Callable[[Unit], Tensor], criterion: Criterion
    ) -> None:
        self.units, self.score, self.criterion = units, score, criterion
        self.per_pool = units[0].groups // units[0].pools

    @property
    def layers(self) -> list[Layer]:
        """The layers of all units."""
        return [layer for unit in self.units for layer in unit.layers]

    @property
    def _round_to(self) -> int:
        return self.units[0].round_to

    @cached_property
    def groups(self) -> int:
        """G, the number of steps."""
        return self.per_pool // self._round_to

    @cached_property
    def group_size(self) -> int:
        """Weights in one step."""
        return sum(unit.pools * self._round_to * unit.group_size for unit in self.units)

    @cached_property
    def droppable(self) -> int:
        """Most steps that may ever fall."""
        return min(unit.droppable for unit in self.units) // self._round_to

    @cached_property
    def dropped(self) -> int:
        """Steps that fell in earlier rounds, and stay fallen."""
        if self.criterion.straight_through:
            return 0
        fallen = min(unit.groups - int(torch.count_nonzero(unit.kept())) for unit in self.units)
        return fallen // (self.units[0].pools * self._round_to)

    @property
    def thinned(self) -> bool:
        """Whether weights fell before, as those of another granularity, in groups that did not fall."""
        if self.criterion.straight_through or self.group_size == 1:
            return False
        fallen = sum(int(torch.count_nonzero(~masks.read(layer))) for layer in self.layers)
        return fallen > self.dropped * self.group_size

    @property
    def summed(self) -> bool:
        """Whether a score grows with the size of its group."""
        return self.criterion.reduction in ("sum", "square")

    @property
    def plain(self) -> bool:
        """Whether a step is simply a group."""
        return len(self.units) == 1 and self.units[0].pools == self._round_to == 1

    @cached_property
    def scores(self) -> Tensor:
        """Score of each step, (G,): the sum over its groups where scores are sums, else their mean."""
        if self.plain:
            return self._plain_scores()
        total: Tensor | None = None
        for unit in self.units:
            ordered = self.score(unit).view(unit.pools, self.per_pool).sort(dim=1).values
            steps = ordered.view(unit.pools, self.groups, self._round_to).sum(dim=(0, 2))
            total = steps if total is None else total + steps
        assert total is not None
        return (
            total
            if self.summed
            else total / (len(self.units) * self.units[0].pools * self._round_to)
        )

    def _plain_scores(self) -> Tensor:
        unit = self.units[0]
        scores = self.score(unit)
        if unit.pattern:
            kept, of = unit.pattern
            ranks = rank_in_row(scores.view(-1, of)).view(-1)
            scores[ranks >= of - kept] = torch.inf
        return scores

    def drop(self, steps: int) -> None:
        """Write the masks in which the lowest `steps` have fallen, and forget the scores."""
        into = Tensor.copy_ if self.criterion.straight_through else Tensor.logical_and_
        for unit, keep in zip(self.units, self._keep(steps), strict=True):
            unit.write(keep, into)
        for cached in ("scores", "_ranks", "_members"):
            self.__dict__.pop(cached, None)

    def left(self, steps: int) -> int:
        """Return how many weights are kept once the lowest `steps` have fallen."""
        return sum(
            int(members[keep].sum())
            for members, keep in zip(self._members, self._keep(steps), strict=True)
        )

    def _keep(self, steps: int) -> list[Tensor]:
        """Return whether each group of each unit is kept once the lowest `steps` have fallen, (G,)."""
        if not self.plain:
            return [(ranks >= steps * self._round_to).view(-1) for ranks in self._ranks]
        rows = self.units[0].rows if self.criterion.per_output else None
        scores = rank_in_row(self.scores.view(rows, -1)).view(-1) if rows else self.scores
        return [keep_highest(scores, steps)]

    @cached_property
    def _ranks(self) -> list[Tensor]:
        """Ranks within each pool of each unit, (pools, G / pools)."""
        return [
            rank_in_row(self.score(unit).view(unit.pools, self.per_pool)) for unit in self.units
        ]

    @cached_property
    def _members(self) -> list[Tensor]:
        """Weights that are kept now in each group of each unit, (G,)."""
        return [
            unit.reduce([masks.read(layer) for layer in unit.layers], "sum") for unit in self.units
        ]

    def regrow(self, steps: int, gradients: dict[str, Tensor]) -> None:
        """Let the fallen groups of a plain unit with the largest gradients return, until only `steps` have fallen."""
        unit = self.units[0]
        strength = unit.reduce(
            [gradients[layer.name].view(layer.shape).abs() for layer in unit.layers], "sum"
        )
        kept = unit.kept()
        unit.write(
            keep_highest(strength.masked_fill(kept, torch.inf), steps) & ~kept, Tensor.logical_or_
        )


def tie(units: Iterable[Unit]) -> list[list[Unit]]:
    """Collect units of the same tie, in order; the others stay alone."""
    tied: dict[object, list[Unit]] = {}
    for index, unit in enumerate(units):
        tied.setdefault(index if unit.tie is None else unit.tie, []).append(unit)
    return list(tied.values())
