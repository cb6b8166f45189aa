"""Compensation by ridge regression on what is kept."""

import torch
from torch import Tensor

from vitprune.errors import UsageError
from vitprune.pruning.compensation.compensation import Compensation


class Ridge(Compensation):
    """Pruned activations are predicted from kept ones by ridge regression, in closed form.

    B = C_RK (C_KK + damping * mean(diag C_KK))^-1, where C is the covariance over the tokens of the
    calibration images. Never worse than `Mean` on these images and the inputs of one layer.

    Source: CORP, arXiv 2602.05243.

    Cost: see `Compensation`, and O(n^3) operations for a layer of n inputs; in `prune` also that of
    `refit`.

    Args:
        damping: Added to the diagonal of C_KK, relative to its mean.

    """

    def __init__(self, damping: float = 0.001) -> None:
        if not damping > 0:
            raise UsageError(f"Ridge needs a positive damping, such as 0.001, not {damping}.")
        self.damping = damping
        self.refit_damping = damping

    def coefficients(self, moments: Tensor, kept: Tensor) -> Tensor:
        """Return the coefficients of the regression."""
        rows = moments[kept]
        among = rows[:, kept]
        diagonal = among.diagonal()
        diagonal += self.damping * diagonal.mean().clamp(min=torch.finfo(torch.float32).tiny)
        return torch.cholesky_solve(rows[:, ~kept], torch.linalg.cholesky(among)).T
