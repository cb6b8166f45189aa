"""How to prune, whenever it is: the three axes that go together."""

from typing import Any

from vitprune.pruning.allocation import Allocation, Uniform
from vitprune.pruning.criteria import Criterion, Magnitude
from vitprune.pruning.granularity import Element, Granularity
from vitprune.pruning.settings import describe


class Method:
    """Which weights fall, in what unit, and how they are divided among the layers.

    Args:
        criterion: Which weights matter; by default `Magnitude()`.
        granularity: What falls together; by default `Element()`.
        allocation: How the sparsity is divided among the layers; by default `Uniform()`.

    """

    def __init__(
        self,
        criterion: Criterion | None = None,
        granularity: Granularity | None = None,
        allocation: Allocation | None = None,
    ) -> None:
        self.criterion = criterion or Magnitude()
        self.granularity = granularity or Element()
        self.allocation = allocation or Uniform()

    def describe(self) -> dict[str, Any]:
        """Return its settings as plain values."""
        return {name: describe(value) for name, value in vars(self).items()}
