"""Scores by first-order Taylor expansion of the loss."""

from torch import Tensor

from vitprune.pruning.criteria.criterion import Criterion, Scoring


class Taylor(Criterion):
    """|w g|, the change of the loss to first order if the weight is pruned.

    g is the mean gradient over the calibration images.

    Source: Molchanov et al. 2019.

    Cost: a forward and a backward pass over the calibration images, and memory for one more set of
    weights in float64 meanwhile.

    Args:
        joint: Score a group by (sum of w g)^2, the change if all of it is pruned, instead of by the
            sum of |w g|.

    """

    calibrated = True
    needs_gradients = True
    observes_gradient = True

    def __init__(self, *, joint: bool = False) -> None:
        self.joint = joint
        self.reduction = "square" if joint else "sum"

    def observe(self, inputs: Tensor, gradients: Tensor) -> Tensor:
        """Return the gradient of the weight, (out, in)."""
        return gradients.flatten(0, 1).T @ inputs.flatten(0, 1)

    def score(self, weight: Tensor, scoring: Scoring) -> Tensor:
        """Return w g if joint, else |w g|."""
        change = weight * scoring.statistic.view_as(weight)
        return change if self.joint else change.abs_()
