"""Decisions: which groups of a candidate are kept."""

import torch
from torch import Tensor

from vitprune.pruning.candidates import Candidate
from vitprune.pruning.masks.selection import keep_highest, rank_in_row


def kept_groups(candidate: Candidate, pruned: int) -> list[Tensor]:
    """Return whether each group of each grouping is kept if the lowest increments are pruned.

    Args:
        candidate: Groups with scores.
        pruned: Number of increments that are pruned.

    Returns:
        For each grouping a boolean tensor, (G,).

    """
    kept = []
    for grouping, scores in zip(candidate.tied.groupings, compared_scores(candidate), strict=True):
        pools = scores.view(grouping.pools, -1)
        groups = pruned * candidate.tied.pool_groups(grouping)
        kept.append(torch.cat([keep_highest(pool, groups) for pool in pools]))
    return kept


def compared_scores(candidate: Candidate) -> list[Tensor]:
    """Return the scores by which the groups of each grouping are compared, (G,).

    If groups are compared within their output, that is the rank in their row: the lowest of every
    row come first.
    """
    if candidate.rows is None:
        return list(candidate.group_scores)
    return [
        rank_in_row(scores.view(candidate.rows, -1)).view(-1) for scores in candidate.group_scores
    ]
