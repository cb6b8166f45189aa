"""Run a transformer from its middle: what comes before a change gives what it gave before."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


@dataclass
class Batch:
    """Images, and what the dense model makes of them on the way.

    Attributes:
        images: Normalised, (B, 3, H, W).
        labels: Class numbers, (B,).
        outputs: What each stage returns for them, in order; empty where nothing was recorded.

    """

    images: Tensor
    labels: Tensor
    outputs: list[Any] = field(default_factory=list)


def record(net: nn.Module, stages: Sequence[nn.Module], batch: Batch) -> Tensor:
    """Return the logits of a batch, (B, classes), and keep in it what each stage returns on the way."""
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
    """Return the logits of a recorded batch, (B, classes), computing only from stage `start` on.

    Equal, bit for bit, to those of the whole model as long as nothing before that stage changed:
    the same modules compute the same thing from the same tensors.
    """
    with _answering(stages[:start], batch.outputs):
        return net(pixel_values=batch.images).logits


@contextmanager
def _answering(stages: Sequence[nn.Module], outputs: Sequence[Any]) -> Iterator[None]:
    """Let stages answer with what they answered before."""
    try:
        for stage, output in zip(stages, outputs, strict=False):
            stage.forward = lambda *_, _output=output, **__: _output
        yield
    finally:
        for stage in stages:
            stage.__dict__.pop("forward", None)


def correct_and_loss(logits: Tensor, labels: Tensor) -> tuple[int, float]:
    """Return how many of a batch are classified right, and the sum of their cross-entropies."""
    correct = int((logits.argmax(dim=1) == labels).sum())
    return correct, float(
        torch.nn.functional.cross_entropy(logits.float(), labels, reduction="sum")
    )
