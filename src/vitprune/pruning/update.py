"""One mask update: scores, allocation and selection put together."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning import masks
from vitprune.pruning.allocation.candidates import Candidate, tie
from vitprune.pruning.criteria.criterion import Scoring
from vitprune.pruning.granularity.units import Unit
from vitprune.pruning.masks.sharding import whole
from vitprune.pruning.method import Method
from vitprune.pruning.regrow import Exchange


@torch.no_grad()
def update_masks(
    layers: Sequence[Layer],
    method: Method,
    sparsity: float,
    round: int = 1,
    seed: int = 42,
    statistics: Mapping[str, Tensor] | None = None,
    exchange: Exchange | None = None,
) -> None:
    """Bring the masks of some layers to a sparsity, in place; what fell before stays fallen.

    Args:
        layers: Layers with masks attached.
        method: Which weights fall; if its criterion also mends those that stay, they are changed in
            place.
        sparsity: Absolute sparsity of their weights, in [0, 1).
        round: Number of the round, from 1; random scores depend on it.
        seed: Seed of random scores.
        statistics: What the criterion learned from data, by name of the layer; see
            `calibration.calibrate`.
        exchange: More weights fall, and as many return.

    Raises:
        UsageError: If a score is NaN, because a weight is.

    """
    criterion = method.criterion

    def scoring(layer: Layer) -> Scoring:
        statistic = (statistics or {}).get(layer.name)
        return Scoring(layer.name, round, seed, None if statistic is None else whole(statistic))

    def score(unit: Unit) -> Tensor:
        single = [criterion.score(masks.weight(layer), scoring(layer)) for layer in unit.layers]
        scores = unit.reduce(single, criterion.reduction)
        if scores.sum().isnan():  # the quickest way to see a single one
            raise UsageError(
                f"{' and '.join(layer.name for layer in unit.layers)}: NaN weights or scores "
                "cannot be ranked."
            )
        if not criterion.straight_through:
            scores[~unit.kept()] = -torch.inf
        return scores

    before = {layer.name: masks.read(layer).clone() for layer in layers} if criterion.mends else {}
    candidates = [
        Candidate(units, score, criterion) for units in tie(method.granularity.units(layers))
    ]
    for candidate, steps in zip(
        candidates, method.allocation.allocate(sparsity, candidates), strict=True
    ):
        if exchange is None:
            candidate.drop(steps)
        else:
            candidate.drop(steps + int(exchange.fraction * (candidate.groups - steps)))
            candidate.regrow(steps, exchange.gradients)
    for layer in layers if criterion.mends else ():
        weight = torch.where(before[layer.name], whole(masks.original(layer)), 0.0)
        masks.write_weight(layer, criterion.mend(weight, masks.read(layer), scoring(layer)))
