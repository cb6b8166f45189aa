"""How to prune, whenever it is: the three axes that go together."""

from collections.abc import Sequence
from typing import Any

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.allocation.allocation import Allocation
from vitprune.pruning.allocation.global_ranking import Global
from vitprune.pruning.allocation.lamp import LAMP
from vitprune.pruning.allocation.uniform import Uniform
from vitprune.pruning.criteria.criterion import Criterion
from vitprune.pruning.criteria.magnitude import Magnitude
from vitprune.pruning.granularity.element import Element
from vitprune.pruning.granularity.granularity import Granularity
from vitprune.pruning.settings import describe


class Method:
    """Which weights fall, in what unit, and how they are divided among the layers.

    Args:
        criterion: Which weights matter; by default `Magnitude()`.
        granularity: What falls together; by default `Element()`.
        allocation: How the sparsity is divided among the layers; by default `Uniform()`, or
            `Global()` for whole branches.

    Raises:
        UsageError: If the allocation cannot divide what the others make.

    """

    def __init__(
        self,
        criterion: Criterion | None = None,
        granularity: Granularity | None = None,
        allocation: Allocation | None = None,
    ) -> None:
        self.criterion = criterion or Magnitude()
        self.granularity = granularity or Element()
        self.allocation = allocation or (
            Global() if self.granularity.ranked_together else Uniform()
        )
        if self.granularity.ranked_together and not self.allocation.ranks_together:
            raise UsageError(
                f"{type(self.granularity).__name__} drops whole branches, so what is kept of each, "
                "or how its scores compare within it, makes no sense: set pruning.allocation to "
                "Global, with neither normalize nor min_density."
            )
        if self.criterion.straight_through and isinstance(self.allocation, LAMP):
            name = type(self.criterion).__name__
            raise UsageError(
                f"LAMP compares squares of scores, and those of {name} have signs: take Global."
            )

    def check(self, layers: Sequence[Layer]) -> None:
        """Raise `UsageError` if it does not fit these layers, all that are going to be pruned."""
        self.granularity.check(layers)
        self.allocation.check(layers, self.granularity)

    def describe(self) -> dict[str, Any]:
        """Return its settings as plain values."""
        return {name: describe(value) for name, value in vars(self).items()}
