"""Weights that come back: every round some more fall than it needs, and as many others return."""

import math

import torch
from torch import Tensor
from torch.optim import Optimizer

from vitprune.errors import UsageError
from vitprune.model.layers import Layer
from vitprune.pruning import masks
from vitprune.pruning.sharding import place


class RigL:
    """As many of the fallen weights return as have fallen beyond the schedule: those with the largest dense gradients.

    Source: Evci et al. 2020. In round r of R the fraction f/2 (1 + cos(pi r/R)) of the kept groups falls by score and the same
    number returns by |gradient|, so the sparsity stays the scheduled one. Weights return as zeros (and count as such until the
    next step), with fresh optimizer state. Costs a forward and a backward pass over the calibration sample in every round.

    Args:
        fraction: f, in (0, 1).

    """

    def __init__(self, fraction: float = 0.3) -> None:
        if not 0 < fraction < 1:
            raise UsageError(f"RigL exchanges a fraction in (0, 1) of the kept weights, not {fraction}.")
        self.fraction = fraction

    def exchanged(self, kept: int, round: int, rounds: int) -> int:
        """Return how many of `kept` groups fall and are replaced in a round in [1, rounds]."""
        return int(self.fraction / 2 * (1 + math.cos(math.pi * round / rounds)) * kept)


@torch.no_grad()
def reset_changed(layers: list[Layer], before: dict[str, Tensor], optimizers: list[Optimizer]) -> None:
    """Let every weight whose mask has changed start afresh: zero if it returns, and without a past in the optimizers.

    Args:
        layers: Layers with masks.
        before: Their masks before the change, by name.
        optimizers: Their state is zeroed in the changed places.

    """
    for layer in layers:
        keep, parameter = masks.read(layer), masks.original(layer)
        changed = keep ^ before[layer.name]
        parameter.mul_(place((~(keep & changed)).to(parameter.dtype), parameter))
        for optimizer in optimizers:
            for value in optimizer.state.get(parameter, {}).values():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    value.mul_(place((~changed).to(value.dtype), value))
