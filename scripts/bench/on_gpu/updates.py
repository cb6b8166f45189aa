"""Fast: mask updates of large models by every criterion."""

import statistics
from collections.abc import Iterator
from functools import partial

import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel

from scripts.bench.on_gpu.figures import Figure, attempted
from scripts.bench.on_gpu.right import CRITERIA
from scripts.bench.on_gpu.scale import Scale
from scripts.bench.on_gpu.steps import SPARSITY
from scripts.bench.on_gpu.timing import milliseconds
from vitprune.pruning import Criterion, Global, LayerSelection, Masks, Method
from vitprune.pruning.criteria.calibration import (
    BATCH_SIZE,
    CalibrationBatch,
    accumulate_step,
    calibrate,
)
from vitprune.pruning.update import update_masks

LIMITS_MS = {  # of ViT-B
    ("vit-base", "Magnitude"): 20.0,
    ("vit-base", "Magnitude, Global"): 20.0,
    ("vit-base", "SparseGPT"): 20_000.0,
}
SCORE_BYTES = 10  # of each weight and its mask: read the weight, the mask; write both


def updates(scale: Scale) -> Iterator[Figure]:
    """Measure a round of each criterion: statistics from 256 images, if it has any, and masks."""
    for name in scale.large_models:
        net = scale.build(name)
        for label, kind in CRITERIA.items():
            method = Method(kind())
            yield from attempted(
                f"{name}, {label}", partial(_update, scale, name, label, net, method)
            )
        method = Method(CRITERIA["Magnitude"](), allocation=Global())
        yield from _update(scale, name, "Magnitude, Global", net, method)


def _update(
    scale: Scale, name: str, label: str, net: PreTrainedModel, method: Method
) -> Iterator[Figure]:
    layers = LayerSelection().select(net)
    dense = [layer.weight.detach().clone() for layer in layers]
    observing, updating = [], []
    repeats = 1 if method.criterion.calibrated else scale.repeats
    for round in range(1 + repeats):  # the first one is the warm-up
        found: dict[str, Tensor] = {}

        def observe(found: dict[str, Tensor] = found) -> None:
            found.update(_statistics(scale, name, net, method.criterion))

        observing.append(milliseconds(observe, scale.device))
        masks = Masks(layers, straight_through=method.criterion.straight_through)
        update = partial(update_masks, masks, method, SPARSITY, round, statistics=found)
        updating.append(milliseconds(update, scale.device))
        for layer, weight in zip(layers, dense, strict=True):
            layer.weight.data.copy_(weight)
    update_ms = statistics.median(updating[1:])
    observe_ms = statistics.median(observing[1:]) if method.criterion.calibrated else 0.0
    limit_ms = LIMITS_MS.get((name, label)) if scale.on_gpu else None
    weights = sum(weight.numel() for weight in dense)
    yield Figure(
        f"{name}, {label}: round",
        update_ms + observe_ms,
        "ms",
        scale.floor_ms(bytes_moved=SCORE_BYTES * weights),
        passed=None if limit_ms is None else update_ms + observe_ms < limit_ms,
        note=f"statistics {observe_ms:.0f} ms" if observe_ms else "",
    )


def _statistics(
    scale: Scale, name: str, net: PreTrainedModel, criterion: Criterion
) -> dict[str, Tensor]:
    layers = LayerSelection().select(net)
    if criterion.straight_through:
        found: dict[str, Tensor] = {}
        images, labels = scale.batch(name, 8)
        F.cross_entropy(net(pixel_values=images).logits, labels).backward()
        accumulate_step(criterion, layers, found)
        net.zero_grad()
        return found
    if not criterion.calibrated:
        return {}
    size = 4 if scale.quick else BATCH_SIZE
    images, labels = scale.batch(name, 2 * size if scale.quick else 256)

    def loss(x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(net(pixel_values=x).logits, y)

    batches = [
        CalibrationBatch(partial(loss, x, y), len(y))
        for x, y in zip(images.split(size), labels.split(size), strict=True)
    ]
    return calibrate(criterion, layers, batches)
