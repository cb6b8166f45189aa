"""One mask update: scores, candidates, counts, masks."""

from collections.abc import Mapping

import torch
from torch import Tensor

from vitprune.pruning.budget.costs import Costs
from vitprune.pruning.candidates import candidate_of
from vitprune.pruning.compensation.compensate import compensate
from vitprune.pruning.criteria.criterion import Criterion, Scoring
from vitprune.pruning.decisions import kept_groups
from vitprune.pruning.granularity.grouping import Change
from vitprune.pruning.granularity.tied import tie
from vitprune.pruning.masks import Masks
from vitprune.pruning.masks.sharding import place, whole
from vitprune.pruning.method import Method
from vitprune.pruning.regrow import Exchange, regrow_groups


@torch.no_grad()
def update_masks(  # noqa: PLR0913  # what a round is made of
    masks: Masks,
    method: Method,
    sparsity: float,
    round: int = 1,
    seed: int = 42,
    statistics: Mapping[str, Tensor] | None = None,
    exchange: Exchange | None = None,
    costs: Costs | None = None,
    moments: Mapping[str, Tensor] | None = None,
) -> None:
    """Prune the layers of these masks to a sparsity. Already pruned weights stay pruned.

    Cost: that of the axes, and memory for the scores of all groups, at most as large as the
    weights, on every rank.

    Args:
        masks: The masks to update, in place; pruned weights are set to zero.
        method: How to prune. If its criterion updates weights, or it has a compensation, weights
            and biases are changed in place.
        sparsity: Fraction of the budget that is removed after this round, in [0, 1): by default the
            absolute sparsity of the weights of these layers.
        round: Number of the round, from 1; random scores depend on it.
        seed: Seed of random scores.
        statistics: Statistics of the criterion, by name of the layer; see `calibrate`.
        exchange: Prune more groups than the sparsity asks for, and regrow as many.
        costs: What the model costs (see `Budget.costs`); None if that is the number of weights.
        moments: Statistics of `InputMoments` for the compensation, by name of the layer.

    Raises:
        UsageError: If a score is NaN, because a weight or a statistic is.

    """
    criterion = method.criterion
    scorings = {
        layer.name: Scoring(layer.name, round, seed, (statistics or {}).get(layer.name))
        for layer in masks.layers
    }
    candidates = [
        candidate_of(tied, masks, criterion, scorings, costs)
        for tied in tie(method.granularity.groupings(masks.layers))
    ]
    counts = method.allocation.allocate(sparsity, candidates, costs)
    change: Change = "replace" if criterion.straight_through else "prune"
    with masks.changing():
        for candidate, count in zip(candidates, counts, strict=True):
            exchanged = exchange.number(candidate.increments - count) if exchange else 0
            kept = kept_groups(candidate, count + exchanged)
            for grouping, keep in zip(candidate.tied.groupings, kept, strict=True):
                grouping.write(masks, keep, change)
                if exchange:
                    regrow_groups(masks, grouping, count, exchange.gradients)
        if criterion.updates_weights:
            _update_weights(masks, criterion, scorings)
        if method.compensation:
            compensate(masks, method.compensation, moments or {})


def _update_weights(masks: Masks, criterion: Criterion, scorings: Mapping[str, Scoring]) -> None:
    """Update the remaining weights to compensate for those that this round prunes."""
    for layer in masks.layers:
        weight = whole(layer.weight)  # newly pruned entries still have their values
        updated = criterion.update_weights(weight, masks[layer.weight], scorings[layer.name])
        layer.weight.copy_(place(updated, layer.weight))
