"""Scores by the diagonal of the empirical Fisher matrix."""

import torch
from torch import Tensor

from vitprune.pruning.criteria.criterion import Criterion, Scoring


class Fisher(Criterion):
    """w^2 E[g^2], the change of the loss to second order with the diagonal of the empirical Fisher
    matrix for curvature.

    g is the gradient for a single image. Source: Theis et al. 2018; Liu et al. 2021. Costs as
    `Taylor`.
    """

    calibrated = True
    needs_gradients = True

    def observe(self, inputs: Tensor, gradients: Tensor) -> Tensor:
        """(out, in), the squared gradients of the weight, image by image."""
        total = torch.zeros(
            gradients.shape[2], inputs.shape[2], dtype=inputs.dtype, device=inputs.device
        )
        for gradient, tokens in zip(gradients, inputs, strict=True):
            total += (gradient.T @ tokens).square_()
        return total

    def score(self, weight: Tensor, scoring: Scoring) -> Tensor:
        """Return w^2 E[g^2]."""
        return weight.square() * scoring.learned.view_as(weight)
