"""Scores by the diagonal of the empirical Fisher matrix."""

import torch
from torch import Tensor

from vitprune.pruning.criteria.criterion import Criterion, Scoring


class Fisher(Criterion):
    """w^2 E[g^2], the change of the loss to second order if the weight is pruned.

    The curvature is the diagonal of the empirical Fisher matrix; g is the gradient for a single
    image.

    Source: Theis et al. 2018; Liu et al. 2021.

    Cost: as `Taylor`.
    """

    calibrated = True
    needs_gradients = True

    def observe(self, inputs: Tensor, gradients: Tensor) -> Tensor:
        """Return the squared gradients of the weight, summed image by image, (out, in)."""
        total = torch.zeros(
            gradients.shape[2], inputs.shape[2], dtype=inputs.dtype, device=inputs.device
        )
        for gradient, tokens in zip(gradients, inputs, strict=True):
            total += (gradient.T @ tokens).square_()
        return total

    def score(self, weight: Tensor, scoring: Scoring) -> Tensor:
        """Return w^2 E[g^2]."""
        return weight.square() * scoring.statistic.view_as(weight)
