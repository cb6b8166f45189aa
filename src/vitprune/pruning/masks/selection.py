"""Scores to exact masks: the k lowest of many, ties and all, without sorting and without a copy of the scores."""

from collections.abc import Sequence

import torch
from torch import Tensor

SPREAD = 5  # half-width of the bracket, in standard deviations of the sampled rank
SMALL = 1 << 16  # below this many scores the bracket costs more than it saves


def kth_smallest(scores: Sequence[Tensor], k: int) -> float:
    """Return the k-th smallest (k from 1) of all scores taken together, exactly.

    A sample gives a narrow bracket that holds the answer all but surely; one pass counts what lies
    below it and gathers what lies inside, and only that is ordered. Time is linear, extra memory a
    few per cent of the scores. Scores may be -inf.
    """
    total = sum(score.numel() for score in scores)
    if not 1 <= k <= total:
        raise ValueError(f"k must lie in [1, {total}], not {k}")
    low, high = -torch.inf, torch.inf
    if total > SMALL:
        low, high = _bracket(scores, k, total)
    below = sum(int(torch.count_nonzero(score < low)) for score in scores)
    if (
        low == high
    ):  # the sample sees nothing but one value here: many ties, and no need to gather them
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
    step = max(
        1, round(total ** (1 / 3))
    )  # of n scores n^(2/3) are sorted, and about as many will lie in the bracket
    sample = torch.cat([score.reshape(-1)[::step] for score in scores]).sort().values
    size = len(sample)
    rank = k / total * size
    half = SPREAD * (rank * (1 - k / total)) ** 0.5 + 2
    first, last = int(rank - half), int(rank + half)
    low = float(sample[first]) if first >= 0 else -torch.inf
    high = float(sample[last]) if last < size else torch.inf
    return low, high


def _between(score: Tensor, low: float, high: float) -> Tensor:
    inside = score >= low
    inside &= score <= high
    return score[inside.nonzero().squeeze(1)]


def count_lowest(scores: Sequence[Tensor], k: int) -> list[int]:
    """Return how many of the k lowest of all scores each tensor holds; ties go to the first tensors."""
    if k == 0:
        return [0] * len(scores)
    threshold = kth_smallest(scores, k)
    counts = [int(torch.count_nonzero(score < threshold)) for score in scores]
    left = k - sum(counts)
    for index, score in enumerate(scores):
        if left == 0:
            break
        ties = min(left, int(torch.count_nonzero(score == threshold)))
        counts[index] += ties
        left -= ties
    return counts


def keep_highest(score: Tensor, drop: int) -> Tensor:
    """Return a boolean mask that is False for exactly the `drop` lowest scores, (G,); of equal scores the first fall."""
    low, high = -torch.inf, torch.inf
    if len(score) > SMALL and drop:
        low, high = _bracket([score], drop, len(score))
    keep, fall = score > high, score < low
    fallen = int(torch.count_nonzero(fall))
    undecided = (keep | fall).logical_not_().nonzero().squeeze(1)
    if not fallen <= drop <= fallen + len(undecided):  # an unlucky sample; never seen, still right
        low, high, keep, fallen = -torch.inf, torch.inf, torch.zeros_like(keep), 0
        undecided = torch.arange(len(score), device=score.device)
    left = drop - fallen
    stay = (
        slice(left, None) if low == high else _stay(score[undecided], left)
    )  # between equal bounds all are equal
    keep[undecided[stay]] = True
    return keep


def _stay(score: Tensor, drop: int) -> Tensor:
    """Return `keep_highest` of a short tensor."""
    if drop == 0:
        return torch.ones_like(score, dtype=torch.bool)
    threshold = score.kthvalue(drop).values
    stay = score > threshold
    ties = (score == threshold).nonzero().squeeze(1)
    stay[ties[drop - int(torch.count_nonzero(score < threshold)) :]] = True
    return stay


def rank_in_row(scores: Tensor) -> Tensor:
    """Return the rank of each score in its row, (rows, n), from 0 for the lowest; of equal scores
    the first ranks lower.

    What has fallen before (-inf) stays at -inf, so that it also ranks below every score of another
    row.
    """
    order = scores.argsort(dim=1, stable=True)
    places = torch.arange(scores.shape[1], dtype=torch.float32, device=scores.device).expand_as(
        order
    )
    ranks = torch.empty_like(places).scatter_(1, order, places)
    return ranks.masked_fill_(scores == -torch.inf, -torch.inf)
