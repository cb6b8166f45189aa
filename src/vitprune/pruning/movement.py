"""Which weights matter, as the training itself tells."""

from torch import Tensor

from vitprune.pruning.criteria import Criterion, Scoring


class Movement(Criterion):
    """The sum of -w g over the steps of the training so far: weights that move away from zero stay.

    g is the gradient of the masked weight; it reaches masked weights too (a straight-through mask), so that they go on
    learning and may come back. Source: Sanh et al. 2020, with masks that change at the rounds of the schedule only. Costs
    one pass over the weights a step, and one more set of weights in memory and in checkpoints.
    """

    straight_through = True

    def follow(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """Return -w g."""
        return -(weight * gradient)

    def score(self, weight: Tensor, scoring: Scoring) -> Tensor:
        """Return the sum."""
        return scoring.learned.view_as(weight).clone()
