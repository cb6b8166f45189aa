"""Where? Allocation: how the target sparsity is divided among the layers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.allocation.demand import Demand, weights_to_prune
from vitprune.pruning.candidates import Candidate
from vitprune.pruning.granularity.granularity import Granularity
from vitprune.pruning.granularity.grouping import Grouping
from vitprune.pruning.granularity.tied import TiedGroupings
from vitprune.pruning.partly_pruned import remaining_weights

HALVINGS = 24  # of the interval in which the sparsity of partly pruned groups is searched


class Allocation(ABC):
    """A rule that divides the target sparsity among the layers.

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

    def allocate(self, sparsity: float, candidates: Sequence[Candidate]) -> list[int]:
        """Return how many increments of each candidate are pruned after this round.

        With increments of one size the total is exactly round(sparsity * increments). Otherwise the
        pruned weights differ from the target by less than the largest increment, as far as
        floors and earlier rounds allow. Weights already pruned inside surviving groups count
        towards the target.

        Args:
            sparsity: Fraction of the weights of all candidates that is pruned, in [0, 1).
            candidates: Increments and their scores.

        """
        if any(candidate.partly_pruned for candidate in candidates):
            return self._allocate_partly_pruned(sparsity, candidates)
        return self._counts_at(sparsity, candidates)

    def _counts_at(self, sparsity: float, candidates: Sequence[Candidate]) -> list[int]:
        """Return increments that sum to a fraction of the weights, pruned before or not."""
        lower = [candidate.pruned for candidate in candidates]
        most = [self.prunable_increments(candidate.tied) for candidate in candidates]
        demand = Demand(
            weights=weights_to_prune(sparsity, candidates),
            lower=lower,
            upper=[max(low, high) for low, high in zip(lower, most, strict=True)],
        )
        return self.divide(candidates, demand)

    def _allocate_partly_pruned(
        self, sparsity: float, candidates: Sequence[Candidate]
    ) -> list[int]:
        """Find increments by bisection, as each prunes only the weights that remain in it."""
        remaining = [remaining_weights(candidate).tolist() for candidate in candidates]
        wanted = (1 - sparsity) * sum(candidate.tied.weights for candidate in candidates)

        def excess(counts: Sequence[int]) -> float:
            left = sum(weights[count] for weights, count in zip(remaining, counts, strict=True))
            return left - wanted

        low = 0.0
        high = sparsity
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            if excess(self._counts_at(middle, candidates)) > 0:
                low = middle
            else:
                high = middle
        ends = [self._counts_at(low, candidates), self._counts_at(high, candidates)]
        return min(ends, key=lambda counts: abs(excess(counts)))

    @abstractmethod
    def divide(self, candidates: Sequence[Candidate], demand: Demand) -> list[int]:
        """Return the number of pruned increments of each candidate.

        Args:
            candidates: Increments and their scores.
            demand: The weights that the counts must sum to, and the bounds of each count.

        """

    def prunable_increments(self, tied: TiedGroupings) -> int:
        """Return the most increments of tied groupings that this allocation prunes."""
        by_density = int((1 - self.min_density) * tied.increments + 1e-9)
        return min(tied.prunable, by_density)

    def highest_sparsity(self, tied: Sequence[TiedGroupings]) -> float:
        """Return the highest sparsity that these groupings can reach together, in [0, 1]."""
        prunable = sum(self.prunable_increments(one) * one.increment_size for one in tied)
        return prunable / sum(one.weights for one in tied)

    def fixed_sparsity(self, groupings: Sequence[Grouping]) -> float | None:
        """Return the only sparsity that these groupings can have together; None if any will do."""
        return None

    def check(self, layers: Sequence[Layer], granularity: Granularity) -> None:  # noqa: B027
        """Raise `UsageError` if this allocation does not fit these layers and their groups."""
