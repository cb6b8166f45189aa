"""Weights that come back: every round some more fall than it needs, and as many others return."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from vitprune.errors import UsageError
from vitprune.pruning import masks
from vitprune.pruning.granularity.units import Unit
from vitprune.pruning.masks.sharding import place


@dataclass(frozen=True)
class Exchange:
    """Groups that fall beyond what the sparsity asks for, and are replaced.

    Attributes:
        fraction: Share of the kept groups that falls and is replaced, in [0, 1].
        gradients: Gradient of the loss by each weight, kept or not, by name of the layer.

    """

    fraction: float
    gradients: dict[str, Tensor]


class RigL:
    """As many of the fallen weights return as have fallen beyond the schedule: those with the
    largest dense gradients.

    Source: Evci et al. 2020. In round r of R the fraction f/2 (1 + cos(pi r/R)) of the kept groups
    falls by score and the same number returns by |gradient|, so the sparsity stays the scheduled
    one. Weights return as zeros (and count as such until the next step), with fresh optimizer
    state. Costs a forward and a backward pass over the calibration sample in every round.

    Args:
        fraction: f, in (0, 1).

    """

    def __init__(self, fraction: float = 0.3) -> None:
        if not 0 < fraction < 1:
            raise UsageError(
                f"RigL exchanges a fraction in (0, 1) of the kept weights, not {fraction}."
            )
        self.fraction = fraction

    def share(self, round: int, rounds: int) -> float:
        """Return the share of the kept groups that is exchanged in a round in [1, rounds]."""
        return self.fraction / 2 * (1 + math.cos(math.pi * round / rounds))


@contextmanager
def starting_afresh(units: Sequence[Unit], optimizers: Sequence[Optimizer]) -> Iterator[None]:
    """Let what changes its mask meanwhile start afresh: zero if it returns, and without a past in
    the optimizers.

    Args:
        units: Their weights.
        optimizers: Their state is zeroed in the changed places.

    """
    layers = [layer for unit in units for layer in unit.layers]
    before = [masks.read(layer).clone() for layer in layers]
    yield
    for layer, old in zip(layers, before, strict=True):
        _start_afresh(masks.original(layer), masks.read(layer), old, optimizers)


@torch.no_grad()
def _start_afresh(
    parameter: Tensor, keep: Tensor, before: Tensor, optimizers: Sequence[Optimizer]
) -> None:
    changed = keep ^ before
    parameter.mul_(place((~(keep & changed)).to(parameter.dtype), parameter))
    for optimizer in optimizers:
        for value in optimizer.state.get(parameter, {}).values():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                value.mul_(place((~changed).to(value.dtype), value))
