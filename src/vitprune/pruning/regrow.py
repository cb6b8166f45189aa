"""Regrowth: every round prunes more groups than its sparsity needs, and regrows as many others."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from vitprune.errors import UsageError
from vitprune.pruning.granularity.grouping import Grouping
from vitprune.pruning.masks import Masks
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


def regrow_groups(
    masks: Masks, grouping: Grouping, pruned: int, gradients: Mapping[str, Tensor]
) -> None:
    """Regrow the pruned groups with the largest gradients until only `pruned` are left pruned.

    Args:
        masks: The masks of the layers.
        grouping: Groups, each of weights of a single layer, that are not tied to others.
        pruned: Number of groups that stay pruned.
        gradients: See `Exchange`.

    """
    strength = grouping.reduce(
        [gradients[layer.name].view(layer.shape).abs() for layer in grouping.layers], "sum"
    )
    kept = grouping.kept(masks)
    strongest = keep_highest(strength.masked_fill(kept, torch.inf), pruned)
    grouping.write(masks, strongest & ~kept, "regrow")


@contextmanager
def resetting_optimizers(masks: Masks, optimizers: Sequence[Optimizer]) -> Iterator[None]:
    """On exit, set the optimizer state to zero for the entries whose masks have changed."""
    before = [(mask, mask.keep.clone()) for mask in masks]
    yield
    for mask, old in before:
        unchanged = mask.keep == old
        for optimizer in optimizers:
            _reset(optimizer.state.get(mask.parameter, {}), mask.parameter, unchanged)


@torch.no_grad()
def _reset(state: Mapping[str, Any], parameter: Tensor, unchanged: Tensor) -> None:
    for value in state.values():
        # integers are codes of quantized states, and 0 is not the code of zero
        is_plain = isinstance(value, Tensor) and value.is_floating_point()
        if is_plain and value.shape == parameter.shape:
            value.mul_(place(unchanged.to(value.dtype), value))
