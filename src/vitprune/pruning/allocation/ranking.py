"""One ranking of the increments of several candidates."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vitprune.pruning.masks.selection import count_lowest


def rank_increments(scores: Sequence[Tensor], sizes: Sequence[int], target: int) -> list[int]:
    """Return how many increments of each candidate are among the lowest that sum to the target.

    Args:
        scores: Score of each increment of each candidate, (increments,).
        sizes: Size of an increment of each candidate.
        target: Size to prune together; with increments of several sizes, the nearest sum.

    Examples:
        >>> rank_increments([torch.tensor([1.0, 4.0]), torch.tensor([2.0, 3.0])], [5, 5], 15)
        [1, 2]

    """
    if not scores:
        return []
    if len(set(sizes)) == 1:
        increments = sum(score.numel() for score in scores)
        return count_lowest(scores, min(round(target / sizes[0]), increments))
    device = scores[0].device
    owner = torch.cat(
        [torch.full((len(score),), i, device=device) for i, score in enumerate(scores)]
    )
    order = owner[torch.cat([score.double() for score in scores]).argsort(stable=True)]
    pruned = torch.tensor(sizes, device=device)[order].cumsum(0)
    nearest = int((pruned - target).abs().argmin()) + 1
    count = nearest if target * 2 > int(pruned[0]) else 0
    return torch.bincount(order[:count], minlength=len(scores)).tolist()
