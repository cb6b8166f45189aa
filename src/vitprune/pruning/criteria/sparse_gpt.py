"""Scores and weight updates by optimal brain surgery, layer by layer."""

import torch
from torch import Tensor

from vitprune.errors import UsageError
from vitprune.pruning.criteria.criterion import Criterion, Scoring

COLUMNS = 128  # updates of the columns to the right are gathered over this many columns


class SparseGPT(Criterion):
    """w^2 / [H^-1]_jj, and a weight update that compensates for the pruned weights.

    H = X^T X + damping, where X are the inputs of the layer over the calibration images;
    [H^-1]_jj belongs to the columns from j on, as weights to the left are fixed by then. Unlike the
    published method, the mask is chosen for the whole layer before any weight is updated, so that
    every granularity and allocation applies, and H is that of the model before the round. With
    `in_order`, the remaining weights are then fitted again, one layer after the other, to the
    outputs of the model before the round, on the inputs that pruned layers produce (see
    `reconstructed`).

    Source: Frantar and Alistarh 2023; conjugate gradients on the kept weights, Meng et al. 2024.

    Cost: a forward pass over the calibration images, in^2 numbers and O(in^3 + out in^2) operations
    for each layer; with `in_order` eight forward passes and 50 products O(out in^2) more.

    Args:
        damping: Added to the diagonal of H, relative to its mean.
        in_order: Whether the remaining weights are fitted again, one layer after the other. Needs a
            transformer that is not sharded.

    """

    calibrated = True
    updates_weights = True

    def __init__(self, damping: float = 0.01, *, in_order: bool = False) -> None:
        if not damping > 0:
            raise UsageError(f"SparseGPT needs a positive damping, such as 0.01, not {damping}.")
        self.damping = damping
        self.in_order = in_order

    def observe(self, inputs: Tensor, gradients: Tensor) -> Tensor:
        """Return the products of inputs, (in, in)."""
        tokens = inputs.flatten(0, 1)
        return tokens.T @ tokens

    def conclude(self, mean: Tensor) -> Tensor:
        """Return the upper Cholesky factor U of H^-1, (in, in).

        Row j holds, up to its diagonal, the factor for the columns from j on.
        """
        diagonal = mean.diagonal()
        diagonal += self.damping * diagonal.mean().clamp(min=torch.finfo(torch.float32).tiny)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(mean))
        return torch.linalg.cholesky(inverse, upper=True).float()

    def score(self, weight: Tensor, scoring: Scoring) -> Tensor:
        """Return the squared error of the outputs if that weight alone is pruned."""
        return (weight.flatten(1) / scoring.statistic.diagonal()).square().view_as(weight)

    def update_weights(self, weight: Tensor, keep: Tensor, scoring: Scoring) -> Tensor:
        """Prune column by column; the columns to the right absorb the error."""
        factor = scoring.statistic
        kept = keep.flatten(1)
        updated = weight.flatten(1).to(factor.dtype, copy=True)
        divisors = torch.where(kept, torch.inf, factor.diagonal())  # x / inf = 0: no error
        for start in range(0, updated.shape[1], COLUMNS):
            end = min(start + COLUMNS, updated.shape[1])
            errors = torch.empty_like(updated[:, start:end])
            for column in range(start, end):
                error = errors[:, column - start]
                torch.div(updated[:, column], divisors[:, column], out=error)
                updated[:, column:end].addr_(error, factor[column, column:end], alpha=-1)
            updated[:, end:] -= errors @ factor[start:end, end:]
        return torch.where(kept, updated, 0).view_as(weight).to(weight.dtype)
