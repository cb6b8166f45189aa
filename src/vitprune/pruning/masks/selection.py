"""The lowest of many scores, exactly, without sorting them and without a copy of them."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

SPREAD = 5  # half-width of the bracket, in standard deviations of the sampled rank
SMALL = 1 << 16  # below this many scores the bracket costs more than it saves


def kth_smallest(scores: Sequence[Tensor], k: int) -> float:
    """Return the k-th smallest of all scores taken together, exactly.

    A sample gives a narrow bracket that almost certainly holds the answer; one pass counts the
    scores below it and gathers those inside, and only these are sorted.

    Cost: linear time; extra memory of a few per cent of the scores.

    Args:
        scores: Tensors of any shape; -inf is allowed.
        k: Rank, from 1.

    Examples:
        >>> kth_smallest([torch.tensor([5.0, 1.0]), torch.tensor([3.0])], k=2)
        3.0

    """
    total = sum(score.numel() for score in scores)
    if not 1 <= k <= total:
        raise ValueError(f"k must lie in [1, {total}], not {k}")
    if total <= SMALL:
        return float(_kth_of_few(torch.cat([score.reshape(-1) for score in scores]), k))
    low, high = map(float, _bracket(scores, k, total))
    below = sum(_count(score < low for score in scores))
    if low == high:  # one value fills the bracket: many ties, and no need to gather them
        equal = sum(_count(score == low for score in scores))
        if below < k <= below + equal:
            return low
        low = -torch.inf
        high = torch.inf
        below = 0
    inside = torch.cat([_between(score.reshape(-1), low, high) for score in scores])
    if not below < k <= below + len(inside):  # an unlucky sample: take all scores
        inside = torch.cat([score.reshape(-1) for score in scores])
        below = 0
    return float(_kth_of_few(inside, k - below))


def count_lowest(scores: Sequence[Tensor], k: int) -> list[int]:
    """Return how many of the k lowest of all scores each tensor holds.

    Ties go to the first tensors.

    Examples:
        >>> count_lowest([torch.tensor([5.0, 1.0]), torch.tensor([1.0, 1.0])], k=2)
        [1, 1]

    """
    if k == 0:
        return [0] * len(scores)
    threshold = kth_smallest(scores, k)
    counts = _count(score < threshold for score in scores)
    equal = _count(score == threshold for score in scores)
    left = k - sum(counts)
    for index, number in enumerate(equal):
        ties = min(left, number)
        counts[index] += ties
        left -= ties
    return counts


def keep_highest(score: Tensor, pruned: int) -> Tensor:
    """Return a boolean mask that is False for exactly the `pruned` lowest scores.

    Of equal scores the first are pruned.

    Args:
        score: Scores, (G,); -inf and inf are allowed.
        pruned: Number of scores to prune, in [0, G].

    Examples:
        >>> keep_highest(torch.tensor([2.0, 1.0, 1.0, 3.0]), pruned=1)
        tensor([ True, False,  True,  True])

    """
    if len(score) <= SMALL or not pruned:
        return _keep_highest_of_few(score, pruned)
    low, high = _bracket([score], pruned, len(score))
    keep = score > high
    below = score < low
    undecided = torch.logical_or(keep, below).logical_not_().nonzero().squeeze(1)
    count, are_tied = torch.stack([below.count_nonzero(), low == high]).tolist()
    left = pruned - count
    if not 0 <= left <= len(undecided):  # an unlucky sample: take all scores
        return _keep_highest_of_few(score, pruned)
    if are_tied:  # all that are undecided are equal
        keep[undecided[left:]] = True
    else:
        keep[undecided] = _keep_highest_of_few(score[undecided], left)
    return keep


def rank_in_row(scores: Tensor) -> Tensor:
    """Return the rank of each score in its row, from 0 for the lowest.

    Of equal scores the first ranks lower. Scores of -inf stay -inf, so they also rank below every
    score of another row.

    Args:
        scores: (rows, n).

    Examples:
        >>> rank_in_row(torch.tensor([[5.0, -torch.inf, 7.0], [2.0, 2.0, 1.0]]))
        tensor([[1., -inf, 2.],
                [1., 2., 0.]])

    """
    order = scores.argsort(dim=1, stable=True)
    places = torch.arange(scores.shape[1], dtype=torch.float32, device=scores.device)
    ranks = torch.empty_like(scores, dtype=torch.float32)
    ranks.scatter_(1, order, places.expand_as(order))
    return ranks.masked_fill_(scores == -torch.inf, -torch.inf)


def _count(conditions: Iterable[Tensor]) -> list[int]:
    """Return how many entries of each boolean tensor are true, waiting for the device once."""
    return torch.stack([torch.count_nonzero(condition) for condition in conditions]).tolist()


def _bracket(scores: Sequence[Tensor], k: int, total: int) -> tuple[Tensor, Tensor]:
    """Return two scores, (), between which the k-th smallest lies, judged by a sample.

    Of n scores n^(2/3), evenly spaced, are sorted, and about as many lie in the bracket.
    """
    stride = max(1, round(total ** (1 / 3)))
    parts = [score.reshape(-1)[::stride] for score in scores]
    sample = (torch.cat(parts) if parts[1:] else parts[0]).sort().values
    size = len(sample)
    rank = k / total * size
    half = SPREAD * (rank * (1 - k / total)) ** 0.5 + 2
    first = int(rank - half)
    last = int(rank + half)
    low = sample[first] if first >= 0 else sample.new_tensor(-torch.inf)
    high = sample[last] if last < size else sample.new_tensor(torch.inf)
    return low, high


def _between(score: Tensor, low: float, high: float) -> Tensor:
    inside = score >= low
    inside &= score <= high
    return score[inside.nonzero().squeeze(1)]


def _keep_highest_of_few(score: Tensor, pruned: int) -> Tensor:
    if score.is_cuda:  # fewer launches
        keep = torch.ones_like(score, dtype=torch.bool)
        keep[score.argsort(stable=True)[:pruned]] = False
        return keep
    if pruned == 0:
        return torch.ones_like(score, dtype=torch.bool)
    threshold = _kth_of_few(score, pruned)
    keep = score > threshold
    ties = (score == threshold).nonzero().squeeze(1)
    keep[ties[pruned - int(torch.count_nonzero(score < threshold)) :]] = True
    return keep


def _kth_of_few(score: Tensor, k: int) -> Tensor:
    """Return the k-th smallest of some scores, ()."""
    if score.is_cuda:  # there `kthvalue` is slow, and refused by deterministic algorithms
        return score.sort().values[k - 1]
    return score.kthvalue(k).values
