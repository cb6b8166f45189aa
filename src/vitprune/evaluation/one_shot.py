"""Prune for the length of a measurement: the one place where this room changes a model."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

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
    """Raise `UsageError` if a method does not fit these layers and sparsities, or works only while training."""
    if method.criterion.straight_through:
        raise UsageError(
            f"{type(method.criterion).__name__} scores what training did to the weights; there is "
            "none here."
        )
    method.check(layers)
    for sparsity in sparsities:
        method.granularity.check_sparsity(sparsity)


def learn(
    criterion: Criterion,
    model: LightningModule,
    data: ImageData,
    layers: Sequence[Layer],
    images: int,
    seed: int,
) -> dict[str, Tensor]:
    """Return what a criterion learns about the dense layers, if it does, from the sample that a run
    of this seed takes.

    Every process sees the whole sample, so all learn the same. The loss is the cross-entropy.
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
        pixels, labels = prepared["pixel_values"], prepared["labels"]

        def loss(pixels: Tensor = pixels, labels: Tensor = labels) -> Tensor:
            return F.cross_entropy(model(pixels), labels)

        yield CalibrationBatch(loss, len(labels))


@contextmanager
def pruned(
    layers: Sequence[Layer],
    sparsity: float,
    method: Method,
    seed: int,
    statistics: Mapping[str, Tensor] | None = None,
) -> Iterator[None]:
    """Prune layers at once to a sparsity, in [0, 1); afterwards every weight, bias and mask is what it was, bit for bit."""
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
    """Put masks where there are none, for a while; taken off again they must keep no more than before."""
    fresh = [layer for layer in layers if not masks.is_masked(layer.module, parameter)]
    masks.attach(fresh, parameter)
    try:
        yield
    finally:
        for layer in fresh:
            parametrize.remove_parametrizations(layer.module, parameter, leave_parametrized=False)
