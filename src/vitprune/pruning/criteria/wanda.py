"""Scores by magnitude and input norm."""

from torch import Tensor

from vitprune.pruning.criteria.criterion import Criterion, Scoring


class Wanda(Criterion):
    """|w| times the norm of the input that it multiplies, over the calibration images.

    Source: Sun et al. 2023.

    Cost: a forward pass over the calibration images, and hardly any memory.

    Args:
        per_output: Whether single weights are ranked within their output, as published, instead of
            within their layer. Groups of several weights are always ranked within their layer.

    """

    calibrated = True

    def __init__(self, *, per_output: bool = True) -> None:
        self.per_output = per_output

    def observe(self, inputs: Tensor, gradients: Tensor) -> Tensor:
        """Return the sum of squares of each input, (in,)."""
        return inputs.square().sum((0, 1))

    def score(self, weight: Tensor, scoring: Scoring) -> Tensor:
        """Return |w| ||x||."""
        return (weight.abs().flatten(1) * scoring.statistic.sqrt()).view_as(weight)
