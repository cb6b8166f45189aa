"""The budget of a sparsity: the weights of the pruned layers."""

from collections.abc import Sequence

from torch import nn

from vitprune.pruning.budget.budget import Budget, Run
from vitprune.pruning.budget.costs import Costs, Sum, Term
from vitprune.pruning.granularity.grouping import Grouping


class PrunableWeights(Budget):
    """The weights of the pruned layers: the schedule's numbers are sparsities."""

    unit = "weights"
    is_physical = False

    def __init__(self) -> None:
        super().__init__()

    def costs(
        self, model: nn.Module, groupings: Sequence[Grouping], run: Run, part: str = ""
    ) -> Costs | None:
        """Return the weights of each part of a layer, where groups overlap; None elsewhere."""
        parts = _overlapping(groupings)
        return Sum(tuple(parts)) if parts else None


def _overlapping(groupings: Sequence[Grouping]) -> list[Term]:
    """Return a term for each part of a weight; none if no weight is in two groupings."""
    found: dict[tuple[str, int], list[Grouping]] = {}
    sizes: dict[tuple[str, int], int] = {}
    for grouping in groupings:
        for part in grouping.parts:
            key = (part.layer.name, part.rows.part if part.rows else 0)
            found.setdefault(key, []).append(grouping)
            sizes[key] = part.shape.numel()
    if all(len(each) == 1 for each in found.values()):
        return []
    return [
        Term(sizes[key], tuple((one.dimension,) for one in each if one.dimension))
        for key, each in found.items()
    ]
