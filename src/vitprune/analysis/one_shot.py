"""Prune for the length of a measurement: the one place where this room touches a model."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.utils import parametrize

from vitprune.model.layers import Layer
from vitprune.pruning import Allocation, Criterion, Element, Granularity, Magnitude, Random, Uniform, masks
from vitprune.pruning.update import update_masks


class Method:
    """Which weights fall, in what unit, and how they are divided among the layers.

    Args:
        criterion: Which weights matter; by default `Magnitude()`.
        granularity: What falls together; by default `Element()`.
        allocation: How the sparsity is divided among the layers; by default `Uniform()`.

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

    def check(self, layers: Sequence[Layer]) -> None:
        """Raise `UsageError` if this method does not fit these layers."""
        for layer in layers:
            self.granularity.check(layer)
        self.allocation.check(layers)

    @property
    def random(self) -> bool:
        """Whether another seed gives other masks."""
        return isinstance(self.criterion, Random)

    def describe(self) -> dict[str, Any]:
        """Return its settings as plain values."""
        axes = {"criterion": self.criterion, "granularity": self.granularity, "allocation": self.allocation}
        return {name: {"class": type(axis).__name__, **vars(axis)} for name, axis in axes.items()}


@contextmanager
def pruned(layers: Sequence[Layer], sparsity: float, method: Method, seed: int) -> Iterator[None]:
    """Prune layers at once to a sparsity, in [0, 1); afterwards every weight and mask is what it was, bit for bit."""
    fresh = [layer for layer in layers if not masks.is_masked(layer.module)]
    masks.attach(fresh)
    before = [{name: value.clone() for name, value in layer.module.state_dict().items()} for layer in layers]
    try:
        update_masks(layers, sparsity, 1, seed, method.criterion, method.granularity, method.allocation)
        yield
    finally:
        for layer, state in zip(layers, before, strict=True):
            layer.module.load_state_dict(state)
        for layer in fresh:
            parametrize.remove_parametrizations(layer.module, "weight", leave_parametrized=False)


def plain_weights(layers: Sequence[Layer]) -> dict[str, torch.Tensor]:
    """Return a copy of the weights as the forward pass sees them, by layer name."""
    return {layer.name: layer.weight.detach().clone() for layer in layers}
