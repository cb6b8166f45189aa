"""One-shot pruning for the duration of a measurement; the model is restored afterwards."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import torch.nn.functional as F
from lightning import LightningModule
from torch import Tensor
from torch.nn.utils import parametrize

from vitprune.data import ImageData
from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning import Criterion, Method, masks
from vitprune.pruning.criteria.calibration import CalibrationBatch, calibrate, sample
from vitprune.pruning.update import update_masks
from vitprune.training.probe import silenced


def check(method: Method, layers: Sequence[Layer], sparsities: Sequence[float]) -> None:
    """Check that a method can prune these layers to these sparsities in one shot.

    Raises:
        UsageError: If it cannot, or if its criterion needs training steps.

    """
    if method.criterion.straight_through:
        raise UsageError(
            f"{type(method.criterion).__name__} needs training steps for its scores. Use another "
            "criterion, for example Magnitude."
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
    with silenced(model), attached(layers):
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
    """Prune layers in one shot; afterwards restore every weight, bias and mask bit for bit.

    Args:
        layers: Layers to prune.
        sparsity: Target sparsity of these layers, in [0, 1).
        method: Criterion, granularity and allocation.
        seed: Seed of random scores.
        statistics: Calibration statistics by layer name; see `calibrate_dense`.

    """
    groupings = method.granularity.groupings(layers)
    biases = [layer for grouping in groupings for layer in grouping.biases]
    with attached(layers), attached(biases, "bias"):
        before = [
            {name: value.clone() for name, value in layer.module.state_dict().items()}
            for layer in layers
        ]
        try:
            update_masks(layers, method, sparsity, seed=seed, statistics=statistics)
            yield
        finally:
            for layer, state in zip(layers, before, strict=True):
                layer.module.load_state_dict(state)


@contextmanager
def attached(layers: Sequence[Layer], parameter: masks.Parameter = "weight") -> Iterator[None]:
    """Attach masks where there are none, and remove these masks at the end."""
    fresh = [layer for layer in layers if not masks.is_masked(layer.module, parameter)]
    masks.attach(fresh, parameter)
    try:
        yield
    finally:
        for layer in fresh:
            parametrize.remove_parametrizations(layer.module, parameter, leave_parametrized=False)
