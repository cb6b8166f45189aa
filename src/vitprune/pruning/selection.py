"""Scores to exact masks: the k lowest of many, ties and all, without sorting and without a copy of the scores."""

from collections.abc import Sequence

import torch
from torch import Tensor

SAMPLE_SIZE = 1 << 20  # of the scores, to bracket the threshold
SPREAD = 6  # half-width of the bracket, in standard deviations of the sampled rank
SMALL = 1 << 16  # below this many scores the bracket costs more than it saves


def kth_smallest(scores: Sequence[Tensor], k: int) -> float:
    """Return the k-th smallest (k from 1) of all scores taken together, exactly.

    A sample gives a narrow bracket that holds the answer all but surely; one pass counts what lies below it and gathers what
    lies inside, and only that is ordered. Time is linear, extra memory a few per cent of the scores. Scores may be -inf.
    """
    total = sum(score.numel() for score in scores)
    if not 1 <= k <= total:
        raise ValueError(f"k must lie in [1, {total}], not {k}")
    low, high = -torch.inf, torch.inf
    if total > SMALL:
        low, high = _bracket(scores, k, total)
    below = sum(int(torch.count_nonzero(score < low)) for score in scores)
    if low == high:  # the sample sees nothing but one value here: many ties, and no need to gather them
        equal = sum(int(torch.count_nonzero(score == low)) for score in scores)
        if below < k <= below + equal:
            return low
        low, high, below = -torch.inf, torch.inf, 0
    inside = torch.cat([_between(score.reshape(-1), low, high) for score in scores])
    if not below < k <= below + len(inside):  # an unlucky sample; never seen, still right
        inside, below = torch.cat([score.reshape(-1) for score in scores]), 0
    return float(inside.kthvalue(k - below).values)


def _bracket(scores: Sequence[Tensor], k: int, total: int) -> tuple[float, float]:
    """Return two scores between which the k-th smallest lies, judged by an evenly spaced sample."""
    step = max(1, total // SAMPLE_SIZE)
    sample = torch.cat([score.reshape(-1)[::step] for score in scores]).sort().values
    size = len(sample)
    rank = k / total * size
    half = SPREAD * (rank * (1 - k / total)) ** 0.5 + 2
    first, last = int(rank - half), int(rank + half)
    low = float(sample[first]) if first >= 0 else -torch.inf
    high = float(sample[last]) if last < size else torch.inf
    return low, high


def _between(score: Tensor, low: float, high: float) -> Tensor:
    return score[(score >= low) & (score <= high)]


def count_lowest(scores: Sequence[Tensor], k: int) -> list[int]:
    """Return how many of the k lowest of all scores each tensor holds; ties go to the first tensors."""
    if k == 0:
        return [0] * len(scores)
    threshold = kth_smallest(scores, k)
    counts = [int(torch.count_nonzero(score < threshold)) for score in scores]
    left = k - sum(counts)
    for index, score in enumerate(scores):
        ties = min(left, int(torch.count_nonzero(score == threshold)))
        counts[index] += ties
        left -= ties
    return counts


def keep_highest(score: Tensor, drop: int) -> Tensor:
    """Return a boolean mask that is False for exactly the `drop` lowest scores, (G,); of equal scores the first fall."""
    if drop == 0:
        return torch.ones_like(score, dtype=torch.bool)
    threshold = kth_smallest([score], drop)
    keep = score > threshold
    spared = int(torch.count_nonzero(keep)) - (len(score) - drop)  # negative: ties at the threshold that stay
    if spared < 0:
        ties = (score == threshold).nonzero().squeeze(1)
        keep[ties[spared:]] = True
    return keep
