"""What an allocation has to divide."""

from collections.abc import Sequence
from dataclasses import dataclass

from vitprune.pruning.candidates import Candidate


@dataclass(frozen=True)
class Demand:
    """Weights to prune together, and bounds for each candidate.

    Attributes:
        weights: Number of weights that are pruned after this round.
        lower: Fewest increments of each candidate.
        upper: Most increments of each candidate.

    """

    weights: int
    lower: Sequence[int]
    upper: Sequence[int]


def weights_to_prune(sparsity: float, candidates: Sequence[Candidate]) -> int:
    """Return the number of weights that a sparsity asks for.

    If all increments have one size, it is a whole number of them.
    """
    sizes = {candidate.increment_size for candidate in candidates}
    if len(sizes) > 1:
        return round(sparsity * sum(candidate.tied.weights for candidate in candidates))
    increments = sum(candidate.increments for candidate in candidates)
    return round(sparsity * increments) * sizes.pop()
