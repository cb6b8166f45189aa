"""What an allocation has to divide."""

from collections.abc import Sequence
from dataclasses import dataclass

from vitprune.pruning.candidates import Candidate


@dataclass(frozen=True)
class Demand:
    """What to prune together, and bounds for each candidate.

    Attributes:
        size: What is pruned after this round, in the unit of the budget (see
            `Candidate.increment_size`): by default a number of weights.
        lower: Fewest increments of each candidate.
        upper: Most increments of each candidate.

    """

    size: int
    lower: Sequence[int]
    upper: Sequence[int]


def size_to_prune(fraction: float, candidates: Sequence[Candidate]) -> int:
    """Return what a fraction of all increments takes of the budget.

    If all increments have one size, it is a whole number of them.
    """
    sizes = {candidate.increment_size for candidate in candidates}
    if len(sizes) > 1:
        return round(fraction * sum(candidate.size for candidate in candidates))
    increments = sum(candidate.increments for candidate in candidates)
    return round(fraction * increments) * sizes.pop()
