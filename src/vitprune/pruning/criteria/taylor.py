"""Scores by first-order Taylor expansion of the loss."""

from torch import Tensor

from vitprune.pruning.criteria.criterion import Criterion, Scoring


class Taylor(Criterion):
    """|w g|, the change of the loss to first order if the weight went; g is the mean gradient over
    a calibration sample.

    Source: Molchanov et al. 2019. Costs a forward and a backward pass over the sample, and memory
    for one more set of weights in float64 while it gathers.

    Args:
        joint: Score a group by (sum of w g)^2, the change if all of it went at once, instead of by
            the sum of |w g|.

    """

    calibrated = True
    needs_gradients = True

    def __init__(self, joint: bool = False) -> None:
        self.joint = joint
        self.reduction = "square" if joint else "sum"

    def observe(self, inputs: Tensor, gradients: Tensor) -> Tensor:
        """(out, in), the gradient of the weight."""
        return gradients.flatten(0, 1).T @ inputs.flatten(0, 1)

    def score(self, weight: Tensor, scoring: Scoring) -> Tensor:
        """Return w g if joint, else |w g|."""
        change = weight * scoring.learned.view_as(weight)
        return change if self.joint else change.abs_()
