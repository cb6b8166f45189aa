"""Scores by magnitude."""

import math

from torch import Tensor

from vitprune.errors import UsageError
from vitprune.pruning.criteria.criterion import Criterion, Scoring


class Magnitude(Criterion):
    """|w|^p, summed over a group (p = inf: the largest |w|), so that groups rank by their Lp norm.

    Source: Han et al. 2015; `l1_unstructured` and `ln_structured` of `torch.nn.utils.prune`.

    Cost: one pass over the weights.

    Args:
        p: Order of the norm: 1, 2, any positive number, or inf. Single weights rank alike for every
            p (short of underflow).

    """

    def __init__(self, p: float = 1.0) -> None:
        if not p > 0:
            raise UsageError(f"Magnitude needs a positive p, such as 1, 2 or inf, not {p}.")
        self.p = p
        self.reduction = "max" if math.isinf(p) else "sum"

    def score(self, weight: Tensor, scoring: Scoring) -> Tensor:
        """Return |w|^p."""
        magnitude = weight.abs()
        return magnitude if self.p == 1 or math.isinf(self.p) else magnitude.pow(self.p)
