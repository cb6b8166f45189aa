"""Scores by the direction in which training moves the weights."""

from torch import Tensor

from vitprune.pruning.criteria.criterion import Criterion, Scoring


class Movement(Criterion):
    """The sum of -w g over all training steps so far: weights that move away from zero are kept.

    g is the gradient of the masked weight. Every round chooses among all weights, so pruned weights
    can regrow. Unlike the published method, pruned weights get the gradient as well (a
    straight-through mask), not only their scores, so they continue to train.

    The published method changes its masks at every step; a schedule in steps with a round every
    step does the same. With rounds far apart, many weights are pruned or regrown in one round, by
    scores from older masks.

    Example: `Cubic(0.95, begin=500, end=5000, every=1, unit="step")` with
    `validate_after_pruning=False`.

    Source: Sanh et al. 2020.

    Cost: one pass over the weights a step, and two more sets of weights in memory and checkpoints:
    the sums and the dense values.

    """

    signed_scores = True
    straight_through = True

    def observe_step(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """Return -w g."""
        return -(weight * gradient)

    def score(self, weight: Tensor, scoring: Scoring) -> Tensor:
        """Return the sum."""
        return scoring.statistic.view_as(weight).clone()
