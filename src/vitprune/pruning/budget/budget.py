"""In what currency? Budget: what the schedule counts, and its value after the last round."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from torch import nn

from vitprune.errors import UsageError
from vitprune.model.anatomy.records import Branch
from vitprune.pruning.budget.costs import Costs
from vitprune.pruning.granularity.grouping import Grouping
from vitprune.runs.plain_values import plain
from vitprune.runs.rounds import in_units

Run = Callable[[], object]


class Budget(ABC):
    """The currency of a schedule: its numbers are fractions of this budget that are removed.

    Args:
        target: What is left at the end, in `unit`, instead of the `final_sparsity` of the schedule;
            null if the schedule has one.

    Attributes:
        unit: What is counted.
        quantity: What of the model is reduced; empty if it is the unit.
        remedy: What to do if the model cannot be pruned that far.
        is_physical: Whether it counts what a shrunk model has, rather than zeros.

    """

    unit: str
    quantity: str = ""
    remedy: str = "Set a smaller final_sparsity or a larger target"
    is_physical: bool = True

    def __init__(self, target: float | None = None) -> None:
        target = plain(target)
        if target is not None and not target > 0:
            raise UsageError(f"the target of {type(self).__name__} must be positive, not {target}.")
        self.target = target

    @property
    def has_target(self) -> bool:
        """Whether it says how much is left at the end."""
        return self.target is not None

    @abstractmethod
    def costs(
        self, model: nn.Module, groupings: Sequence[Grouping], run: Run, part: str = ""
    ) -> Costs | None:
        """Return what the model costs, or None if each group costs as much as it has weights.

        Args:
            model: The model whose layers are pruned.
            groupings: What is pruned.
            run: Runs the model on some images.
            part: Name of the module in the model that counts; by default the whole model.

        """

    @staticmethod
    def branches(groupings: Sequence[Grouping]) -> list[Branch]:
        """Return the attentions and MLPs that pruning makes smaller, each once."""
        found = [grouping.dimension.branch for grouping in groupings if grouping.dimension]
        found += [layer.branch for each in groupings if each.companions for layer in each.layers]
        return list(dict.fromkeys(branch for branch in found if branch))

    def check(self, groupings: Sequence[Grouping], granularity: str) -> None:
        """Raise `UsageError` if pruning these groups does not make the model smaller.

        Args:
            groupings: What is pruned.
            granularity: Name of the granularity, for the message.

        """
        if self.is_physical and all(grouping.dimension is None for grouping in groupings):
            raise UsageError(
                f"pruning.budget {type(self).__name__} needs a granularity that makes the model "
                f"smaller, and {granularity} removes no structure. Use Neuron, Head, HeadDim, "
                "Branch, Width or several of them as pruning.granularity, or PrunableWeights as "
                "pruning.budget."
            )

    def describe_left(self, removed: float, costs: Costs) -> str:
        """Return the remaining and the dense cost if a fraction is removed, for an error."""
        return f"{in_units((1 - removed) * costs.dense)} of {in_units(costs.dense)} {self.unit}"

    def fraction(self, costs: Costs) -> float:
        """Return the fraction to remove so that the target is left, in [0, 1).

        Raises:
            UsageError: If the model is smaller than the target.

        """
        assert self.target is not None
        if self.target > costs.dense:
            raise UsageError(
                f"pruning.budget.target is {in_units(self.target)} {self.unit}, and the model has "
                f"{in_units(costs.dense)} before pruning. Set a smaller target."
            )
        return 1 - self.target / costs.dense
