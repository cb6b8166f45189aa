"""Which, where and in what unit: the three axes of a pruning method."""

from collections.abc import Sequence
from typing import Any

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.allocation.allocation import Allocation
from vitprune.pruning.allocation.global_ranking import Global
from vitprune.pruning.allocation.uniform import Uniform
from vitprune.pruning.criteria.criterion import Criterion
from vitprune.pruning.criteria.magnitude import Magnitude
from vitprune.pruning.granularity.element import Element
from vitprune.pruning.granularity.granularity import Granularity
from vitprune.pruning.settings import describe


class Method:
    """A criterion, a granularity and an allocation that fit each other.

    Args:
        criterion: How weights are ranked; by default `Magnitude()`.
        granularity: Group of weights that is pruned as one; by default `Element()`.
        allocation: How the sparsity is divided among the layers; by default `Uniform()`, or
            `Global()` for whole branches.

    Raises:
        UsageError: If they do not fit each other.

    """

    def __init__(
        self,
        criterion: Criterion | None = None,
        granularity: Granularity | None = None,
        allocation: Allocation | None = None,
    ) -> None:
        self.criterion = criterion or Magnitude()
        self.granularity = granularity or Element()
        default = Global() if self.granularity.ranked_together else Uniform()
        self.allocation = allocation or default
        if self.granularity.ranked_together and not self.allocation.ranks_together:
            raise UsageError(
                f"{type(self.granularity).__name__} prunes whole branches, which need one ranking "
                "over all layers: set pruning.allocation to Global, with neither normalize nor "
                "min_density."
            )
        if self.criterion.signed_scores and self.allocation.squares_scores:
            raise UsageError(
                f"{type(self.allocation).__name__} compares squares of scores, and those of "
                f"{type(self.criterion).__name__} are signed; use Global."
            )

    def check(self, layers: Sequence[Layer]) -> None:
        """Raise `UsageError` if it does not fit the layers to prune."""
        self.granularity.check(layers)
        self.allocation.check(layers, self.granularity)

    def describe(self) -> dict[str, Any]:
        """Return its settings as plain values."""
        return {name: describe(value) for name, value in vars(self).items()}
