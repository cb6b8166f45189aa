"""One-shot pruning for the duration of a measurement; the model is restored afterwards."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import torch
import torch.nn.functional as F
from lightning import LightningModule
from torch import Tensor

from vitprune.data import ImageData
from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning import Criterion, Method
from vitprune.pruning.criteria.calibration import CalibrationBatch, calibrate, sample
from vitprune.pruning.update import update_masks
from vitprune.training.probe import silenced


def check(method: Method, layers: Sequence[Layer], sparsities: Sequence[float]) -> None:
    """Check that a method can prune these layers to these sparsities in one shot.

    Raises:
        UsageError: If it cannot, its criterion needs training steps, or it has a compensation.

    """
    if method.criterion.straight_through:
        raise UsageError(
            f"{type(method.criterion).__name__} needs training steps for its scores. Use another "
            "criterion, for example Magnitude."
        )
    if method.compensation:
        raise UsageError(
            f"{type(method.compensation).__name__} changes the model that other measurements share."
            " Remove the compensation, or use prune()."
        )
    method.check(layers)
    for sparsity in sparsities:
        method.granularity.check_sparsity(sparsity)


def calibrate_dense(
    criterion: Criterion,
    model: LightningModule,
    data: ImageData,
    layers: Sequence[Layer],
    images: int,
    seed: int,
) -> dict[str, Tensor]:
    """Return the calibration statistics of the dense layers by name; none if none are needed.

    The calibration images are those of a run with this seed. Every process uses all of them, so
    all have the same statistics. The loss is the cross-entropy.

    Args:
        criterion: Criterion that needs the statistics.
        model: Model with the layers.
        data: Its training images are used.
        layers: Layers to collect statistics for.
        images: Number of calibration images.
        seed: Seed that selects them.

    """
    if not criterion.calibrated:
        return {}
    with silenced(model):
        return calibrate(criterion, layers, _losses(model, data, images, seed))


def _losses(
    model: LightningModule, data: ImageData, images: int, seed: int
) -> Iterator[CalibrationBatch]:
    for batch, _ in sample(data.calibration_dataloader(), images, seed):
        prepared = data.prepare(batch, next(model.net.parameters()).device)
        labels = prepared["labels"]
        loss = partial(_loss, model, prepared["pixel_values"], labels)
        yield CalibrationBatch(loss, len(labels))


def _loss(model: LightningModule, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(images), labels)


@contextmanager
def pruned(
    layers: Sequence[Layer],
    sparsity: float,
    method: Method,
    seed: int,
    statistics: Mapping[str, Tensor] | None = None,
) -> Iterator[None]:
    """Prune layers one-shot; on exit restore every weight and bias bit for bit.

    Args:
        layers: Layers to prune.
        sparsity: Target sparsity of these layers, in [0, 1).
        method: Criterion, granularity and allocation.
        seed: Seed of random scores.
        statistics: Calibration statistics by layer name; see `calibrate_dense`.

    """
    masks = method.masks(layers)
    kept = None if masks.channels is None else masks.channels.keep.clone()
    before = [(mask.parameter, mask.parameter.detach().clone()) for mask in masks]
    try:
        update_masks(masks, method, sparsity, seed=seed, statistics=statistics)
        yield
    finally:
        with torch.no_grad():
            for parameter, value in before:
                parameter.copy_(value)
        if masks.channels is not None and kept is not None:
            masks.channels.write(kept)
