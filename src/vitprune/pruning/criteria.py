"""Which weights matter: a score for each of them, higher = keep."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from vitprune.errors import UsageError
from vitprune.seeding import seed_for


@dataclass(frozen=True)
class Scoring:
    """What a criterion may know beside the weight.

    Attributes:
        layer: Name of the layer.
        round: The round that is being pruned, from 1.
        seed: Seed of the run.

    """

    layer: str
    round: int
    seed: int


class Criterion(ABC):
    """A rule that scores single weights.

    Attributes:
        reduction: How the scores of weights that fall together become the score of their group: `sum`, `max`, or `first`
            (that of one member stands for all).

    """

    reduction: str = "sum"

    @abstractmethod
    def score(self, weight: Tensor, scoring: Scoring) -> Tensor:
        """Return a finite float score for each weight; shape, device and order are those of `weight`."""


class Magnitude(Criterion):
    """|w|^p, summed over a group (p = inf: the largest |w|), so that groups rank by their Lp norm.

    Source: `l1_unstructured` and `ln_structured` of `torch.nn.utils.prune`; Han et al. 2015. Costs one pass over the
    weights.

    Args:
        p: Order of the norm: 1, 2, any positive number, or inf. Single weights rank alike for every p (short of underflow).

    """

    def __init__(self, p: float = 1.0) -> None:
        if not p > 0:
            raise UsageError(f"Magnitude needs a positive p (1, 2 or inf, say), not {p}.")
        self.p = p
        self.reduction = "max" if math.isinf(p) else "sum"

    def score(self, weight: Tensor, scoring: Scoring) -> Tensor:
        """Return |w|^p."""
        return weight.abs() if self.p == 1 or math.isinf(self.p) else weight.abs().pow(self.p)


class Random(Criterion):
    """A uniform random number, the control that every other criterion has to beat.

    Source: `random_unstructured` and `random_structured` of `torch.nn.utils.prune`. The numbers depend on (seed, round,
    layer) alone, so they are the same on every rank, on every device and after a resume.
    """

    reduction = "first"  # one draw a group: a sum of many would say more about the size of the group than about luck

    def score(self, weight: Tensor, scoring: Scoring) -> Tensor:
        """Return numbers from [0, 1)."""
        generator = torch.Generator().manual_seed(seed_for(scoring.seed, "score", scoring.round, scoring.layer))
        return torch.rand(weight.shape, generator=generator).to(weight.device)
