"""Shares to whole steps: the arithmetic behind the allocations."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vitprune.pruning.allocation.candidates import Candidate
from vitprune.pruning.masks.selection import count_lowest


def weights_to_drop(sparsity: float, candidates: Sequence[Candidate]) -> int:
    """Return the number of weights that the sparsity asks for: whole steps where all have one size."""
    sizes = {candidate.group_size for candidate in candidates}
    if len(sizes) == 1:
        return round(sparsity * sum(candidate.groups for candidate in candidates)) * sizes.pop()
    return round(
        sparsity * sum(candidate.groups * candidate.group_size for candidate in candidates)
    )


def rank(scores: Sequence[Tensor], sizes: Sequence[int], target: int) -> list[int]:
    """Return how many steps of each candidate are among the lowest that come to `target` weights.

    Args:
        scores: The scores of each candidate, (G,).
        sizes: Weights in one step of each.
        target: Weights to drop together.

    """
    if not scores:
        return []
    if len(set(sizes)) == 1:
        return count_lowest(
            scores, min(round(target / sizes[0]), sum(score.numel() for score in scores))
        )
    owner = torch.cat(
        [torch.full((len(score),), i, device=score.device) for i, score in enumerate(scores)]
    )
    order = owner[torch.cat([score.double() for score in scores]).argsort(stable=True)]
    freed = torch.tensor(sizes, device=order.device)[order].cumsum(0)
    wanted = int((freed - target).abs().argmin()) + 1 if target * 2 > int(freed[0]) else 0
    return torch.bincount(order[:wanted], minlength=len(scores)).tolist()


def apportion(
    shares: Callable[[float], Sequence[float]],
    target: int,
    candidates: Sequence[Candidate],
    lower: Sequence[int],
    upper: Sequence[int],
) -> list[int]:
    """Round shares to whole steps that come to `target` weights (largest remainder, Hamilton's
    method).

    Args:
        shares: Returns the steps to drop per candidate, rising with a number x > 0 that is chosen
            such that they come, within the bounds, to the target; x = 1 is tried first.
        target: Weights to drop together.
        candidates: Their sizes.
        lower: Fewest steps per candidate.
        upper: Most steps per candidate.

    """
    sizes = [candidate.group_size for candidate in candidates]

    def bounded(x: float) -> list[float]:
        return [
            min(max(share, low), high)
            for share, low, high in zip(shares(x), lower, upper, strict=True)
        ]

    def weights(counts: Sequence[float]) -> float:
        return sum(count * size for count, size in zip(counts, sizes, strict=True))

    exact = bounded(_solve(lambda x: weights(bounded(x)), target))
    counts = [int(value + 1e-6) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: counts[i] - exact[i])
    left = target - weights(counts)
    for i in by_remainder:
        if counts[i] < upper[i] and 2 * left >= sizes[i]:
            counts[i] += 1
            left -= sizes[i]
    return counts


def _solve(weights: Callable[[float], float], target: int) -> float:
    """Find the x at which a rising function reaches the target, by bisection; 1 where that is it already."""
    if abs(weights(1.0) - target) < 0.5:
        return 1.0
    low, high = 0.0, 1.0
    while weights(high) < target and high < 1e12:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if weights(middle) < target else (low, middle)
    return high
