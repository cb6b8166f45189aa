"""Which weights matter, as the training itself tells."""

from torch import Tensor

from vitprune.pruning.criteria.criterion import Criterion, Scoring


class Movement(Criterion):
    """The sum of -w g over the steps of the training so far: weights that move away from zero stay.

    g is the gradient of the masked weight. Source: Sanh et al. 2020, whose masks change at every
    step: rounds in steps with `every` 1 do that. With rounds far apart many weights fall or
    return at once, on scores that older masks taught. Unlike theirs, masked weights get the
    gradient too (a straight-through mask), not their scores alone, so that they go on learning
    while they are out. Costs one pass over the weights a step, and one more set of weights in
    memory and checkpoints.

    Example:
        `Cubic(0.95, begin=500, end=5000, every=1, unit="step")`, and
        `validate_after_pruning=False`.

    """

    straight_through = True

    def follow(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """Return -w g."""
        return -(weight * gradient)

    def score(self, weight: Tensor, scoring: Scoring) -> Tensor:
        """Return the sum."""
        return scoring.learned.view_as(weight).clone()
