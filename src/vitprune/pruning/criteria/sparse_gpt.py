"""Which weights matter, and what the others should become: optimal brain surgery, layer by layer."""

import torch
from torch import Tensor

from vitprune.errors import UsageError
from vitprune.pruning.criteria.criterion import Criterion, Scoring

COLUMNS = 128  # updates of the columns to the right are gathered over this many


class SparseGPT(Criterion):
    """w^2 / [H^-1]_jj, and an update of the kept weights that makes up for those that fall, with H
    = X^T X + damping.

    X are the inputs of the layer over a calibration sample; [H^-1]_jj belongs to the columns from j
    on, as weights to the left are fixed by then. Source: Frantar and Alistarh 2023. Unlike there,
    the mask is chosen in one step for the whole layer, so that every granularity and allocation
    applies, and H is that of the model before the round. Costs a forward pass over the sample, in^2
    numbers for each layer, and O(in^3 + out in^2) operations a layer.

    Args:
        damping: Added to the diagonal of H, relative to its mean.

    """

    calibrated = True
    mends = True

    def __init__(self, damping: float = 0.01) -> None:
        if not damping > 0:
            raise UsageError(f"SparseGPT needs a positive damping, not {damping}.")
        self.damping = damping

    def observe(self, inputs: Tensor, gradients: Tensor) -> Tensor:
        """(in, in), the products of inputs."""
        tokens = inputs.flatten(0, 1)
        return tokens.T @ tokens

    def conclude(self, mean: Tensor) -> Tensor:
        """Return the upper Cholesky factor U of H^-1; row j holds, up to its diagonal, that of the columns from j on."""
        diagonal = mean.diagonal()
        diagonal += self.damping * diagonal.mean().clamp(min=torch.finfo(torch.float32).tiny)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(mean))
        return torch.linalg.cholesky(inverse, upper=True).float()

    def score(self, weight: Tensor, scoring: Scoring) -> Tensor:
        """Return the squared error that the fall of each weight alone would cause."""
        return (weight.flatten(1) / scoring.learned.diagonal()).square().view_as(weight)

    def mend(self, weight: Tensor, keep: Tensor, scoring: Scoring) -> Tensor:
        """Set the columns one after the other, and let those to the right absorb the error."""
        factor, kept = scoring.learned, keep.flatten(1)
        mended = weight.flatten(1).to(factor.dtype, copy=True)
        for start in range(0, mended.shape[1], COLUMNS):
            end = min(start + COLUMNS, mended.shape[1])
            errors = torch.zeros(len(mended), end - start, dtype=mended.dtype, device=mended.device)
            for column in range(start, end):
                error = mended[:, column] / factor[column, column]
                error = torch.where(kept[:, column], 0, error)
                mended[:, column:end] -= error.outer(factor[column, column:end])
                errors[:, column - start] = error
            mended[:, end:] -= errors @ factor[start:end, end:]
        return torch.where(kept, mended, 0).view_as(weight).to(weight.dtype)
