"""Run a transformer from its middle: unchanged stages return the outputs that were recorded."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn


@dataclass
class Batch:
    """Images, and the outputs of the dense model's stages.

    Attributes:
        images: Normalised images, (B, 3, H, W).
        labels: Class numbers, (B,).
        outputs: Output of each recorded stage, in order; empty before `record`.

    """

    images: Tensor
    labels: Tensor
    outputs: list[Any] = field(default_factory=list)


def record(net: nn.Module, stages: Sequence[nn.Module], batch: Batch) -> Tensor:
    """Return the logits of a batch, (B, classes), and keep the output of each stage in it."""
    batch.outputs = [None] * len(stages)

    def keep(index: int) -> Callable[..., None]:
        return lambda _, __, output: batch.outputs.__setitem__(index, output)

    hooks = [stage.register_forward_hook(keep(index)) for index, stage in enumerate(stages)]
    try:
        return net(pixel_values=batch.images).logits
    finally:
        for hook in hooks:
            hook.remove()


def replay(net: nn.Module, stages: Sequence[nn.Module], batch: Batch, start: int) -> Tensor:
    """Return the logits of a recorded batch, (B, classes), computing only from stage `start`.

    They equal those of the whole model bit for bit as long as no earlier stage changed: the same
    modules compute the same thing from the same tensors.
    """
    with _answering(stages[:start], batch.outputs):
        return net(pixel_values=batch.images).logits


@contextmanager
def _answering(stages: Sequence[nn.Module], outputs: Sequence[Any]) -> Iterator[None]:
    """Let stages return recorded outputs instead of computing them."""
    try:
        for stage, output in zip(stages, outputs, strict=False):
            stage.forward = lambda *_, _output=output, **__: _output
        yield
    finally:
        for stage in stages:
            stage.__dict__.pop("forward", None)  # the class has the real one
