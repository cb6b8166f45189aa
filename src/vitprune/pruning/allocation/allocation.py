"""Allocation: how the target sparsity is divided among the layers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.allocation.apportion import weights_to_drop
from vitprune.pruning.allocation.candidates import Candidate
from vitprune.pruning.granularity.granularity import Granularity


class Allocation(ABC):
    """A rule that divides the sparsity among the layers. Unless it says otherwise, that costs next
    to nothing.

    Args:
        min_density: No layer keeps less than this fraction of its groups, in [0, 1); its share
            falls to the others.

    """

    def __init__(self, min_density: float = 0.0) -> None:
        if not 0 <= min_density < 1:
            raise UsageError(f"min_density must lie in [0, 1), not {min_density}.")
        self.min_density = min_density

    @property
    def ranks_together(self) -> bool:
        """Whether it ranks the groups of all layers by their scores as they are, so that a layer may fall whole."""
        return False

    def allocate(self, sparsity: float, candidates: Sequence[Candidate]) -> list[int]:
        """Return how many steps each candidate has dropped after this round.

        With steps of one size the total is exactly round(sparsity * steps); else it is near the
        number of weights that it should be, off by less than the largest step, within what floors
        and earlier rounds allow. Single weights that fell before, in groups that did not, count.
        """
        lower = [candidate.dropped for candidate in candidates]
        upper = [
            max(low, self._most_of(candidate))
            for low, candidate in zip(lower, candidates, strict=True)
        ]

        def steps_at(share: float) -> list[int]:
            return self.divide(weights_to_drop(share, candidates), candidates, lower, upper)

        if not any(candidate.thinned for candidate in candidates):
            return steps_at(sparsity)
        return self._allocate_thinned(sparsity, candidates, steps_at)

    @staticmethod
    def _allocate_thinned(
        sparsity: float, candidates: Sequence[Candidate], steps_at: Callable[[float], list[int]]
    ) -> list[int]:
        """Find, by bisection, the steps that bring groups with zeros in them, some with more, closest to a sparsity."""
        wanted = (1 - sparsity) * sum(
            candidate.groups * candidate.group_size for candidate in candidates
        )

        def excess(counts: Sequence[int]) -> float:
            return (
                sum(
                    candidate.left(steps)
                    for candidate, steps in zip(candidates, counts, strict=True)
                )
                - wanted
            )

        low, high = 0.0, sparsity
        for _ in range(24):
            middle = (low + high) / 2
            low, high = (middle, high) if excess(steps_at(middle)) > 0 else (low, middle)
        return min(steps_at(low), steps_at(high), key=lambda counts: abs(excess(counts)))

    def most(self, candidates: Sequence[Candidate]) -> float:
        """Return the largest sparsity that candidates can come to together, in [0, 1]."""
        droppable = sum(self._most_of(candidate) * candidate.group_size for candidate in candidates)
        return droppable / sum(candidate.groups * candidate.group_size for candidate in candidates)

    def _most_of(self, candidate: Candidate) -> int:
        return min(candidate.droppable, int((1 - self.min_density) * candidate.groups + 1e-9))

    @abstractmethod
    def divide(
        self,
        target: int,
        candidates: Sequence[Candidate],
        lower: Sequence[int],
        upper: Sequence[int],
    ) -> list[int]:
        """Return the number of steps to drop per candidate, within [lower, upper], that comes to `target` weights."""

    def check(self, layers: Sequence[Layer], granularity: Granularity) -> None:  # noqa: B027 (most have nothing to check)
        """Raise `UsageError` if this allocation does not fit these layers, or what falls together in them."""
