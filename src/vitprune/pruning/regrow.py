"""Regrowth: every round prunes more groups than its sparsity needs, and regrows as many others."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from vitprune.errors import UsageError
from vitprune.pruning import masks
from vitprune.pruning.granularity.grouping import Grouping
from vitprune.pruning.masks.selection import keep_highest
from vitprune.pruning.masks.sharding import place


@dataclass(frozen=True)
class Exchange:
    """Groups that are pruned beyond what the sparsity asks for, and replaced by regrown ones.

    Attributes:
        fraction: Fraction of the kept groups that is exchanged, in [0, 1].
        gradients: Dense gradient of the loss by each weight, kept or not, by name of the layer.

    """

    fraction: float
    gradients: Mapping[str, Tensor]

    def number(self, kept: int) -> int:
        """Return how many of the kept groups are exchanged."""
        return int(self.fraction * kept)


class RigL:
    """Regrow as many groups as were pruned beyond the schedule: those with the largest gradients.

    In round r of R the fraction f/2 (1 + cos(pi r/R)) of the kept groups is pruned by score and the
    same number regrows by the dense |gradient|, so the sparsity is the scheduled one. Regrown
    weights start at zero (and count as zeros until the next step) with empty optimizer state.

    Source: Evci et al. 2020.

    Cost: a forward and a backward pass over the calibration images in every round.

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
        """Return the fraction of the kept groups that a round in [1, rounds] exchanges."""
        return self.fraction / 2 * (1 + math.cos(math.pi * round / rounds))


def regrow_groups(grouping: Grouping, pruned: int, gradients: Mapping[str, Tensor]) -> None:
    """Regrow the pruned groups with the largest gradients until only `pruned` are left pruned.

    Args:
        grouping: Groups that stand alone, as those of a single layer do.
        pruned: Number of groups that stay pruned.
        gradients: See `Exchange`.

    """
    strength = grouping.reduce(
        [gradients[layer.name].view(layer.shape).abs() for layer in grouping.layers], "sum"
    )
    kept = grouping.kept()
    strongest = keep_highest(strength.masked_fill(kept, torch.inf), pruned)
    grouping.write(strongest & ~kept, "regrow")


@contextmanager
def resetting_changed_weights(
    groupings: Sequence[Grouping], optimizers: Sequence[Optimizer]
) -> Iterator[None]:
    """Reset weights whose mask changes meanwhile.

    Regrown weights start at zero; regrown and pruned ones have empty optimizer state.

    Args:
        groupings: Their weights.
        optimizers: Their state is set to zero where masks changed.

    """
    layers = [layer for grouping in groupings for layer in grouping.layers]
    before = [masks.read(layer).clone() for layer in layers]
    yield
    for layer, old in zip(layers, before, strict=True):
        _reset(masks.original(layer), masks.read(layer), old, optimizers)


@torch.no_grad()
def _reset(
    parameter: Tensor, keep: Tensor, before: Tensor, optimizers: Sequence[Optimizer]
) -> None:
    changed = keep ^ before
    parameter.mul_(place((~(keep & changed)).to(parameter.dtype), parameter))
    for optimizer in optimizers:
        for value in optimizer.state.get(parameter, {}).values():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                value.mul_(place((~changed).to(value.dtype), value))
