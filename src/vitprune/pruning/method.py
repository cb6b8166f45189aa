"""Which, where, in what unit and currency, and what happens to the rest: five axes."""

from collections.abc import Mapping, Sequence
from typing import Any

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.allocation.allocation import Allocation
from vitprune.pruning.allocation.global_ranking import Global
from vitprune.pruning.allocation.isomorphic import Isomorphic
from vitprune.pruning.allocation.search import Search
from vitprune.pruning.allocation.uniform import Uniform
from vitprune.pruning.budget.budget import Budget
from vitprune.pruning.budget.costs import Costs
from vitprune.pruning.budget.prunable_weights import PrunableWeights
from vitprune.pruning.compensation import Compensation, Ridge
from vitprune.pruning.compensation.compensate import observed_layers
from vitprune.pruning.criteria.criterion import Criterion
from vitprune.pruning.criteria.magnitude import Magnitude
from vitprune.pruning.criteria.recording import check_observable
from vitprune.pruning.granularity.element import Element
from vitprune.pruning.granularity.granularity import Granularity
from vitprune.pruning.granularity.tied import tie
from vitprune.pruning.masks import Masks
from vitprune.pruning.settings import describe

TOLERANCE = 0.005  # accepts a sparsity that was rounded to two decimals


class Method:
    """A criterion, a granularity, an allocation, a budget and a compensation that fit each other.

    Args:
        criterion: How weights are ranked; by default `Magnitude()`.
        granularity: Group of weights that is pruned as one; by default `Element()`.
        allocation: How the sparsity is divided among the layers; by default `Uniform()`, or
            `Global()` for `Branch` and `Width`, also in `Combined`.
        budget: What sparsities are fractions of; by default `PrunableWeights()`.
        compensation: How the remaining weights compensate for pruned groups; not at all by
            default. Needs a granularity that removes structure.

    Raises:
        UsageError: If they do not fit each other.

    """

    def __init__(
        self,
        criterion: Criterion | None = None,
        granularity: Granularity | None = None,
        allocation: Allocation | None = None,
        budget: Budget | None = None,
        compensation: Compensation | None = None,
    ) -> None:
        for value, kind in (
            (criterion, Criterion),
            (granularity, Granularity),
            (allocation, Allocation),
            (budget, Budget),
            (compensation, Compensation),
        ):
            if not isinstance(value, kind | None):
                raise UsageError(f"a Method needs an instance of {kind.__name__}, not {value!r}.")
        self.criterion = criterion or Magnitude()
        self.granularity = granularity or Element()
        default = Global() if self.granularity.ranked_together else Uniform()
        self.allocation = allocation or default
        self.budget = budget or PrunableWeights()
        self.compensation = compensation
        if self.granularity.ranked_together and not self.allocation.ranks_together:
            raise UsageError(
                f"{type(self.granularity).__name__} needs one ranking over all layers: set "
                "pruning.allocation to Global, with neither normalize nor min_density."
            )
        if self.criterion.straight_through and self.granularity.prunes_channels:
            raise UsageError(
                f"{type(self.criterion).__name__} lets pruned groups regrow, and a pruned channel "
                "of the residual stream has no gradient. Use another criterion, such as Taylor."
            )
        if self.criterion.signed_scores and self.allocation.squares_scores:
            raise UsageError(
                f"{type(self.allocation).__name__} compares squares of scores, and those of "
                f"{type(self.criterion).__name__} are signed; use Global."
            )
        if self.compensation:
            self._check_compensation(self.compensation)
        if isinstance(self.allocation, Search):
            self._check_search()

    def _check_search(self) -> None:
        if not self.budget.is_physical:
            raise UsageError(
                "Search divides a budget of the smaller model among kinds of structure, and "
                f"{type(self.budget).__name__} counts zeros. Set pruning.budget to FLOPs, "
                "Parameters or Latency."
            )
        if len(self.granularity.dimensions) < 2:
            raise UsageError(
                f"Search divides the budget between kinds of structure, and {self.granularity} "
                "prunes one kind. Use Combined, or Isomorphic as pruning.allocation."
            )
        if self.criterion.updates_weights or self.criterion.straight_through:
            raise UsageError(
                f"Search tries out masks on one model, and {type(self.criterion).__name__} changes "
                "or regrows weights. Use another criterion, such as Taylor."
            )

    def _check_compensation(self, compensation: Compensation) -> None:
        name = type(compensation).__name__
        if self.granularity.roles is None:
            raise UsageError(
                f"{name} compensates for removed heads, neurons and branches, and "
                f"{type(self.granularity).__name__} removes none. Remove pruning.compensation, or "
                "use Head, HeadDim, Neuron, Branch or Combined."
            )
        if self.criterion.updates_weights or self.criterion.straight_through:
            does = "updates weights itself" if self.criterion.updates_weights else "regrows weights"
            raise UsageError(
                f"{type(self.criterion).__name__} {does}, which {name} does not support. Remove "
                "pruning.compensation, or use another criterion."
            )

    def check(self, layers: Sequence[Layer]) -> None:
        """Raise `UsageError` if the method does not fit the layers to prune."""
        self.granularity.check(layers)
        if self.calibrated:
            check_observable(layers)
        self.allocation.check(layers, self.granularity)
        name = type(self.granularity).__name__
        self.budget.check(self.granularity.groupings(layers), name)

    def check_sparsity(
        self, layers: Sequence[Layer], sparsity: float, costs: Costs | None = None
    ) -> None:
        """Check that these layers can be pruned to a sparsity.

        Args:
            layers: The layers to prune.
            sparsity: Fraction of the budget to remove, in [0, 1).
            costs: What the model costs; None if that is the number of weights in its groups.

        Raises:
            UsageError: If the granularity or the allocation fixes another sparsity, or if the
                highest reachable one is lower.

        """
        self.granularity.check_sparsity(sparsity)
        groupings = self.granularity.groupings(layers)
        fixed = self.allocation.fixed_sparsity(groupings)
        if fixed is not None and abs(fixed - sparsity) > TOLERANCE:
            raise UsageError(
                f"the weighted average of the sparsities of {type(self.allocation).__name__} is "
                f"{fixed:.4f}, but the target sparsity is {sparsity:g}. Set the target to "
                f"{fixed:.4f}, or change the sparsities."
            )
        highest = self.highest_sparsity(layers, costs)
        if sparsity <= highest + TOLERANCE:
            return
        floors = "(one head or neuron per layer and min_density are kept)"
        if costs is None:
            raise UsageError(
                f"sparsity {sparsity:g} cannot be reached. The highest reachable sparsity is "
                f"{highest:.4f} {floors}."
            )
        left = self.budget.describe_left(highest, costs)
        quantity = self.budget.quantity or self.budget.unit
        raise UsageError(
            f"{sparsity:.2%} of the {quantity} cannot be removed. At most {highest:.2%} can be, "
            f"which leaves {left} {floors}. {self.budget.remedy}, or prune more kinds of structure."
        )

    def highest_sparsity(self, layers: Sequence[Layer], costs: Costs | None = None) -> float:
        """Return the largest fraction of the budget that can be removed, in [0, 1]."""
        return self.allocation.highest_target(tie(self.granularity.groupings(layers)), costs)

    def fraction(self, sparsity: float | None, costs: Costs | None) -> float:
        """Return the fraction of the budget to remove: that which is given, or of its target.

        Args:
            sparsity: The fraction; None if the budget has a target.
            costs: What the model costs; None if that is the number of weights in its groups.

        Raises:
            UsageError: If both or none are given, or the model is smaller than the target.

        """
        self.check_target(sparsity)
        if sparsity is not None:
            return sparsity
        assert costs is not None  # of every budget that can have a target
        return self.budget.fraction(costs)

    def check_target(self, sparsity: float | None) -> None:
        """Raise `UsageError` unless either a sparsity is given or the budget has a target."""
        if (sparsity is None) == (not self.budget.has_target):
            name = type(self.budget).__name__
            has = "both" if sparsity is not None else "neither"
            raise UsageError(
                f"the final sparsity and the target of {name} say how much to prune, and {has} "
                "is given. Set one of pruning.schedule.final_sparsity and pruning.budget.target."
            )

    @property
    def calibrated(self) -> bool:
        """Whether it needs calibration data."""
        return self.criterion.calibrated or self.compensates

    @property
    def compensates(self) -> bool:
        """Whether remaining weights compensate, in rounds or in the trials of a search."""
        return self.compensation is not None or isinstance(self.allocation, Search)

    @property
    def refit_damping(self) -> float | None:
        """Damping of the fit after one-shot pruning; None if nothing is fitted again."""
        if self.compensation is None or self.granularity.prunes_channels:
            return None
        return self.compensation.refit_damping

    def compensating(self, layers: Sequence[Layer]) -> list[Layer]:
        """Return the layers whose input moments a compensation needs."""
        return observed_layers(self.granularity.groupings(layers))

    def with_rates(self, rates: Mapping[str, float]) -> "Method":
        """Return the method with the rates that a search has found."""
        return self._with(rates, self.compensation)

    def trial(self, rates: Mapping[str, float]) -> "Method":
        """Return the method of a trial of a search, which always compensates."""
        return self._with(rates, self.compensation or Ridge())

    def _with(self, rates: Mapping[str, float], compensation: Compensation | None) -> "Method":
        allocation = Isomorphic(self.allocation.min_density, dict(rates))
        return Method(self.criterion, self.granularity, allocation, self.budget, compensation)

    def biases(self, layers: Sequence[Layer]) -> list[Layer]:
        """Return the layers whose biases are pruned with their weights.

        With compensation there are none: a bias takes over the mean of pruned structure.
        """
        if self.compensation:
            return []
        groupings = self.granularity.groupings(layers)
        return [layer for grouping in groupings for layer in grouping.biases]

    def masks(self, layers: Sequence[Layer]) -> Masks:
        """Return new masks of these layers, and of the parameters that are pruned with them."""
        return Masks(
            layers,
            self.biases(layers),
            layers[0].stream if self.granularity.prunes_channels else None,
            straight_through=self.criterion.straight_through,
        )

    def describe(self) -> dict[str, Any]:
        """Return the axes as a checkpoint stores them."""
        return {name: describe(value) for name, value in vars(self).items()}
