"""Groups of which some weights are already pruned, as by another granularity before.

Weights already pruned inside surviving groups count towards the target sparsity: what an increment
prunes are the weights that remain in it.
"""

import torch
from torch import Tensor

from vitprune.pruning.candidates import Candidate
from vitprune.pruning.decisions import compared_scores


def remaining_weights(candidate: Candidate) -> Tensor:
    """Return how many weights remain if the lowest n increments are pruned, (increments + 1,).

    Args:
        candidate: Groups with scores; n runs from 0 to all increments.

    """
    tied = candidate.tied
    by_increment = torch.zeros(tied.increments, dtype=torch.long, device=candidate.scores.device)
    for grouping, scores in zip(tied.groupings, compared_scores(candidate), strict=True):
        order = scores.view(grouping.pools, -1).argsort(dim=1, stable=True)
        remaining = grouping.remaining(candidate.masks).view(grouping.pools, -1).gather(1, order)
        by_increment += grouping.by_increment(remaining, tied.increments)
    pruned = torch.cat([by_increment.new_zeros(1), by_increment.cumsum(0)])
    return by_increment.sum() - pruned
