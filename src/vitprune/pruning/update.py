"""One mask update: scores, allocation and selection put together."""

from collections.abc import Sequence

import torch

from vitprune.errors import UsageError
from vitprune.model.layers import Layer
from vitprune.pruning import masks
from vitprune.pruning.allocation import Allocation, Candidate
from vitprune.pruning.criteria import Criterion, Scoring
from vitprune.pruning.granularity import Granularity
from vitprune.pruning.selection import keep_highest


@torch.no_grad()
def update_masks(
    layers: Sequence[Layer],
    sparsity: float,
    round: int,
    seed: int,
    criterion: Criterion,
    granularity: Granularity,
    allocation: Allocation,
) -> None:
    """Bring the masks of some layers to a sparsity, in place; what fell before stays fallen.

    Args:
        layers: Layers with masks attached.
        sparsity: Absolute sparsity of their weights, in [0, 1).
        round: Number of the round, from 1; random scores depend on it.
        seed: Seed of random scores.
        criterion: Scores the weights.
        granularity: Groups them.
        allocation: Divides the sparsity among the layers.

    Raises:
        UsageError: If a score is NaN, because a weight is.

    """
    candidates = []
    for layer in layers:
        scores = granularity.group(criterion.score(layer.weight, Scoring(layer.name, round, seed)), criterion.reduction)
        if scores.sum().isnan():  # the quickest way to see a single one
            raise UsageError(f"{layer.name} has NaN weights; nothing can be pruned by score.")
        fallen = ~granularity.group(masks.read(layer), "max")
        scores[fallen] = -torch.inf
        size = layer.weight.numel() // scores.numel()
        candidates.append(Candidate(layer, scores, size, int(torch.count_nonzero(fallen)), criterion.reduction == "sum"))
    for candidate, drop in zip(candidates, allocation.allocate(sparsity, candidates), strict=True):
        granularity.spread(keep_highest(candidate.scores, drop), masks.read(candidate.layer))
