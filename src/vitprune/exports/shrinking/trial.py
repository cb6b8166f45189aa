"""A forward pass in float64: the logits to reproduce, and the ranges of activations."""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from vitprune.exports.verify import logits

NEAR = 1e-9  # activations in float64 with this difference are equal


@dataclass(frozen=True)
class Range:
    """The smallest and the largest value of each input of a layer.

    Attributes:
        low: (in,), float64.
        high: (in,), float64.

    """

    low: Tensor
    high: Tensor

    def is_near(self, values: Tensor) -> Tensor:
        """Return which inputs always have these values but for rounding, boolean (in,)."""
        allowed = NEAR * values.abs().clamp(min=1)
        return (self.high - values).abs().maximum((self.low - values).abs()) <= allowed


@dataclass(frozen=True)
class Trial:
    """A forward pass in float64.

    Attributes:
        images: Images, (B, channels, height, width), float64.
        logits: (B, classes), float64.
        ranges: Ranges of the inputs of layers, by layer name; only of layers that were called.
        outputs: Length of the tuple that a module returns, 0 if it returns a tensor, by module
            name; only of modules whose (first) output has the shape of their input.

    """

    images: Tensor
    logits: Tensor
    ranges: dict[str, Range] = field(repr=False)
    outputs: dict[str, int]

    @classmethod
    def run(
        cls,
        net: PreTrainedModel,
        images: Tensor,
        layers: Mapping[str, nn.Module],
        modules: Mapping[str, nn.Module],
    ) -> "Trial":
        """Run a model.

        Args:
            net: Model in float64.
            images: (B, channels, height, width).
            layers: Layers whose inputs are watched.
            modules: Modules whose outputs are watched.

        """
        ranges: dict[str, Range] = {}
        outputs: dict[str, int] = {}
        with _watching(layers, modules, ranges, outputs):
            found = logits(net, images.double())
        return cls(images.double(), found, ranges, outputs)

    def difference(self, net: PreTrainedModel) -> float:
        """Return the largest difference of the logits of another model, relative if above 1."""
        found = float((logits(net, self.images) - self.logits).abs().max())
        return found / max(1.0, float(self.logits.abs().max()))


@contextmanager
def _watching(
    layers: Mapping[str, nn.Module],
    modules: Mapping[str, nn.Module],
    ranges: dict[str, Range],
    outputs: dict[str, int],
) -> Iterator[None]:
    hooks = [
        *(one.register_forward_hook(partial(_see, name, ranges)) for name, one in layers.items()),
        *(
            one.register_forward_hook(partial(_count, name, outputs), with_kwargs=True)
            for name, one in modules.items()
        ),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _see(name: str, ranges: dict[str, Range], module: nn.Module, given: Any, _: Any) -> None:
    inputs = given[0].movedim(1, -1) if isinstance(module, nn.Conv2d) else given[0]
    low, high = inputs.detach().flatten(0, -2).aminmax(dim=0)
    if name in ranges:
        low, high = low.minimum(ranges[name].low), high.maximum(ranges[name].high)
    ranges[name] = Range(low, high)


def _count(
    name: str, outputs: dict[str, int], _: nn.Module, args: Any, kwargs: Any, output: Any
) -> None:
    first = output[0] if isinstance(output, tuple) else output
    given = first_tensor(*args, *kwargs.values())
    if given is not None and isinstance(first, Tensor) and first.shape == given.shape:
        outputs[name] = len(output) if isinstance(output, tuple) else 0


def first_tensor(*values: object) -> Tensor | None:
    """Return the first tensor."""
    return next((value for value in values if isinstance(value, Tensor)), None)


def in_float64(net: PreTrainedModel) -> PreTrainedModel:
    """Return a model itself if it is in float64, else a copy in float64."""
    if all(value.dtype == torch.double for value in net.parameters()):
        return net
    return copy.deepcopy(net).double()


def copy_modules(net: PreTrainedModel) -> PreTrainedModel:
    """Return a copy of a model that shares its parameters and buffers."""
    shared = [*net.parameters(), *net.buffers()]
    return copy.deepcopy(net, {id(tensor): tensor for tensor in shared})


def restore_types(net: PreTrainedModel, original: nn.Module) -> PreTrainedModel:
    """Give every tensor of a model the type that it has in another one, in place."""
    types = {name: value.dtype for name, value in _tensors(original)}
    usual = next(original.parameters()).dtype
    for name, value in _tensors(net):
        value.data = value.data.to(types.get(name, usual))
    return net


def _tensors(net: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from net.named_parameters()
    yield from net.named_buffers()
