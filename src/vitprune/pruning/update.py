"""One mask update: scores, allocation and selection put together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vitprune.errors import UsageError
from vitprune.model.layers import Layer
from vitprune.pruning import masks
from vitprune.pruning.allocation import Allocation
from vitprune.pruning.candidates import Candidate, tie
from vitprune.pruning.criteria import Criterion, Scoring
from vitprune.pruning.granularity import Granularity
from vitprune.pruning.sharding import whole
from vitprune.pruning.units import Unit


@dataclass(frozen=True)
class Exchange:
    """Groups that fall beyond what the sparsity asks for, and are replaced.

    Attributes:
        count: Returns how many of so many kept groups fall and are replaced.
        gradients: Gradient of the loss by each weight, kept or not, by name of the layer.

    """

    count: Callable[[int], int]
    gradients: dict[str, Tensor]


@torch.no_grad()
def update_masks(
    layers: Sequence[Layer],
    sparsity: float,
    round: int,
    seed: int,
    criterion: Criterion,
    granularity: Granularity,
    allocation: Allocation,
    statistics: dict[str, Tensor] | None = None,
    exchange: Exchange | None = None,
) -> None:
    """Bring the masks of some layers to a sparsity, in place; what fell before stays fallen.

    Args:
        layers: Layers with masks attached.
        sparsity: Absolute sparsity of their weights, in [0, 1).
        round: Number of the round, from 1; random scores depend on it.
        seed: Seed of random scores.
        criterion: Scores the weights; if it also mends those that stay, they are changed in place.
        granularity: Groups them.
        allocation: Divides the sparsity among the layers.
        statistics: What the criterion learned from data, by name of the layer; see `calibration.calibrate`.
        exchange: More weights fall, and as many return.

    Raises:
        UsageError: If a score is NaN, because a weight is.

    """

    def scoring(layer: Layer) -> Scoring:
        statistic = (statistics or {}).get(layer.name)
        return Scoring(layer.name, round, seed, None if statistic is None else whole(statistic))

    def score(unit: Unit) -> Tensor:
        single = [criterion.score(masks.weight(layer), scoring(layer)) for layer in unit.layers]
        scores = unit.reduce(single, criterion.reduction)
        if scores.sum().isnan():  # the quickest way to see a single one
            raise UsageError(f"{' and '.join(layer.name for layer in unit.layers)}: NaN weights or scores cannot be ranked.")
        if not criterion.straight_through:
            scores[~unit.kept()] = -torch.inf
        return scores

    before = {layer.name: masks.read(layer).clone() for layer in layers} if criterion.mends else {}
    candidates = [Candidate(units, score, criterion) for units in tie(granularity.units(layers))]
    for candidate, steps in zip(candidates, allocation.allocate(sparsity, candidates), strict=True):
        if exchange is None:
            candidate.drop(steps)
        else:
            candidate.drop(steps + exchange.count(candidate.groups - steps))
            candidate.regrow(steps, exchange.gradients)
    for layer in layers if criterion.mends else ():
        weight = torch.where(before[layer.name], whole(masks.original(layer)), 0.0)
        masks.write_weight(layer, criterion.mend(weight, masks.read(layer), scoring(layer)))
