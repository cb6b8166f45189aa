"""Prune for the length of a measurement: the one place where this room changes a model."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch.nn.functional as F
from lightning import LightningModule
from torch import Tensor
from torch.nn.utils import parametrize
from torch.utils.data import DataLoader

from vitprune.data import ImageData
from vitprune.errors import UsageError
from vitprune.model.layers import Layer
from vitprune.pruning import Allocation, Criterion, Element, Granularity, Magnitude, OneShot, Random, Uniform, masks
from vitprune.pruning.calibration import calibrate, sample
from vitprune.pruning.checks import check_axes
from vitprune.pruning.settings import describe
from vitprune.pruning.update import update_masks


class Method:
    """Which weights fall, in what unit, and how they are divided among the layers.

    Args:
        criterion: Which weights matter; by default `Magnitude()`.
        granularity: What falls together; by default `Element()`.
        allocation: How the sparsity is divided among the layers; by default `Uniform()`.

    Attributes:
        statistics: What the criterion learned from data, by name of the layer; see `learn`.

    """

    def __init__(
        self,
        criterion: Criterion | None = None,
        granularity: Granularity | None = None,
        allocation: Allocation | None = None,
    ) -> None:
        self.criterion = criterion or Magnitude()
        self.granularity = granularity or Element()
        self.allocation = allocation or Uniform()
        self.statistics: dict[str, Tensor] = {}

    def check(self, layers: Sequence[Layer], sparsities: Sequence[float]) -> None:
        """Raise `UsageError` if this method does not fit these layers and sparsities, or works only while training."""
        if self.criterion.straight_through:
            raise UsageError(f"{type(self.criterion).__name__} scores what training did to the weights; there is none here.")
        self.granularity.units(layers)
        self.allocation.check(layers)
        for sparsity in sparsities:
            check_axes(OneShot(sparsity), self.criterion, self.granularity, self.allocation)

    @property
    def random(self) -> bool:
        """Whether another seed gives other masks."""
        return isinstance(self.criterion, Random)

    def describe(self) -> dict[str, Any]:
        """Return its settings as plain values."""
        return {name: describe(getattr(self, name)) for name in ("criterion", "granularity", "allocation")}

    def learn(self, model: LightningModule, data: ImageData, layers: Sequence[Layer], images: int, seed: int) -> None:
        """Let the criterion learn about the dense layers, if it does, from the sample that a run of this seed takes.

        Every process sees the whole sample, so all learn the same. The loss is the cross-entropy.
        """
        if not self.criterion.calibrated:
            return
        model.eval()
        with attached(layers):
            self.statistics = calibrate(self.criterion, layers, _losses(model, data, images, seed))


def _losses(model: LightningModule, data: ImageData, images: int, seed: int) -> Iterator[Any]:
    loader = data.calibration_dataloader()
    chosen = sample(len(data.splits["train"]), images, seed)
    for batch in DataLoader(loader.dataset, batch_sampler=chosen, collate_fn=loader.collate_fn):
        prepared = data.prepare(batch, model.device)
        pixels, labels = prepared["pixel_values"], prepared["labels"]
        yield lambda x=pixels, y=labels: F.cross_entropy(model(x), y), len(labels), True


@contextmanager
def pruned(layers: Sequence[Layer], sparsity: float, method: Method, seed: int) -> Iterator[None]:
    """Prune layers at once to a sparsity, in [0, 1); afterwards every weight, bias and mask is what it was, bit for bit."""
    biases = [layer for unit in method.granularity.units(layers) for layer in unit.biases]
    with attached(layers), attached(biases, "bias"):
        before = [{name: value.clone() for name, value in layer.module.state_dict().items()} for layer in layers]
        try:
            axes = (method.criterion, method.granularity, method.allocation)
            update_masks(layers, sparsity, 1, seed, *axes, statistics=method.statistics)
            yield
        finally:
            for layer, state in zip(layers, before, strict=True):
                layer.module.load_state_dict(state)


@contextmanager
def attached(layers: Sequence[Layer], parameter: str = "weight") -> Iterator[None]:
    """Put masks where there are none, for a while; only an all-ones mask may be taken off again."""
    fresh = [layer for layer in layers if not masks.is_masked(layer.module, parameter)]
    masks.attach(fresh, parameter)
    try:
        yield
    finally:
        for layer in fresh:
            parametrize.remove_parametrizations(layer.module, parameter, leave_parametrized=False)
