"""Where? Allocation: how the target is divided among the layers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.allocation.demand import Demand, size_to_prune
from vitprune.pruning.budget.costs import Costs
from vitprune.pruning.budget.shares import kept_shares
from vitprune.pruning.candidates import Candidate
from vitprune.pruning.granularity.granularity import Granularity
from vitprune.pruning.granularity.grouping import Grouping
from vitprune.pruning.granularity.tied import TiedGroupings
from vitprune.pruning.partly_pruned import remaining_weights

HALVINGS = 24  # of the interval in which the fraction of the groups is searched


class Allocation(ABC):
    """A rule that divides the target among the layers.

    Cost: next to none, unless a rule says otherwise.

    Args:
        min_density: Smallest fraction of groups kept in every layer, in [0, 1); the other layers
            are pruned more.

    Attributes:
        squares_scores: Whether it compares squares of scores, so that scores must not be negative.

    """

    squares_scores: bool = False

    def __init__(self, min_density: float = 0.0) -> None:
        if not 0 <= min_density < 1:
            raise UsageError(f"min_density must lie in [0, 1), not {min_density}.")
        self.min_density = min_density

    @property
    def ranks_together(self) -> bool:
        """Whether it ranks the plain scores of all layers, so that a whole layer can be pruned."""
        return False

    def allocate(
        self, target: float, candidates: Sequence[Candidate], costs: Costs | None = None
    ) -> list[int]:
        """Return how many increments of each candidate are pruned after this round.

        With increments of one size the total is exactly round(target * increments). Otherwise the
        pruned weights differ from the target by less than the largest increment, as far as
        floors and earlier rounds allow. Weights already pruned inside surviving groups count
        towards the target. With costs, the model costs at most what the target leaves, and with
        one increment less it would cost more.

        Args:
            target: Fraction of the budget that is removed, in [0, 1).
            candidates: Increments and their scores.
            costs: What the model costs; None if that is the number of weights in its groups.

        """
        if costs is not None:
            return self._allocate_by_cost(target, candidates, costs)
        if any(candidate.partly_pruned for candidate in candidates):
            return self._allocate_partly_pruned(target, candidates)
        return self._counts_at(target, candidates)

    def _counts_at(self, fraction: float, candidates: Sequence[Candidate]) -> list[int]:
        """Return increments that sum to a fraction of all sizes, pruned before or not."""
        lower = [candidate.pruned for candidate in candidates]
        most = [self.prunable_increments(candidate.tied) for candidate in candidates]
        demand = Demand(
            size=size_to_prune(fraction, candidates),
            lower=lower,
            upper=[max(low, high) for low, high in zip(lower, most, strict=True)],
        )
        return self.divide(candidates, demand)

    def _allocate_by_cost(
        self, target: float, candidates: Sequence[Candidate], costs: Costs
    ) -> list[int]:
        """Find the fewest increments that bring the cost to the target or below."""
        allowed = (1 - target) * costs.dense

        def is_enough(counts: Sequence[int]) -> bool:
            return costs.at(kept_shares([one.tied for one in candidates], counts)) <= allowed

        return self._search(candidates, is_enough, most=1.0)[1]

    def _allocate_partly_pruned(
        self, sparsity: float, candidates: Sequence[Candidate]
    ) -> list[int]:
        """Find increments by bisection, as each prunes only the weights that remain in it."""
        remaining = [remaining_weights(candidate).tolist() for candidate in candidates]
        wanted = (1 - sparsity) * sum(candidate.tied.weights for candidate in candidates)

        def excess(counts: Sequence[int]) -> float:
            left = sum(weights[count] for weights, count in zip(remaining, counts, strict=True))
            return left - wanted

        ends = self._search(candidates, lambda counts: excess(counts) <= 0, most=sparsity)
        return min(ends, key=lambda counts: abs(excess(counts)))

    def _search(
        self,
        candidates: Sequence[Candidate],
        is_enough: Callable[[Sequence[int]], bool],
        most: float,
    ) -> tuple[list[int], list[int]]:
        """Return the most increments that are not enough, and the fewest that are.

        If none are enough up to the fraction `most`, the second are those of `most`.
        """
        low = 0.0
        high = most
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            if is_enough(self._counts_at(middle, candidates)):
                high = middle
            else:
                low = middle
        return self._counts_at(low, candidates), self._counts_at(high, candidates)

    @abstractmethod
    def divide(self, candidates: Sequence[Candidate], demand: Demand) -> list[int]:
        """Return the number of pruned increments of each candidate.

        Args:
            candidates: Increments and their scores.
            demand: The size that the counts must sum to, and the bounds of each count.

        """

    def prunable_increments(self, tied: TiedGroupings) -> int:
        """Return the most increments of tied groupings that this allocation prunes."""
        by_density = int((1 - self.min_density) * tied.increments + 1e-9)
        return min(tied.prunable, by_density)

    def highest_target(self, tied: Sequence[TiedGroupings], costs: Costs | None = None) -> float:
        """Return the largest fraction of the budget that can be removed, in [0, 1]."""
        if costs is not None:
            return costs.removed(kept_shares(tied, [self.prunable_increments(one) for one in tied]))
        prunable = sum(self.prunable_increments(one) * one.increment_size for one in tied)
        return prunable / sum(one.weights for one in tied)

    def fixed_sparsity(self, groupings: Sequence[Grouping]) -> float | None:
        """Return the only sparsity that these groupings can have together; None if any will do."""
        return None

    def check(self, layers: Sequence[Layer], granularity: Granularity) -> None:  # noqa: B027
        """Raise `UsageError` if this allocation does not fit these layers and their groups."""
