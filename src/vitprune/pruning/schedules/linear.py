"""A linear sparsity schedule."""

from vitprune.pruning.schedules.schedule import Schedule


class Linear(Schedule):
    """The same number of weights in every round: s(x) = s0 + (s1 - s0) x.

    Example:
        >>> [round(Linear(0.8, end_epoch=3).sparsity(r), 3) for r in (1, 2, 3, 4)]
        [0.2, 0.4, 0.6, 0.8]

    """

    def sparsity_at(self, x: float) -> float:
        """See the class."""
        return self.initial_sparsity + (self.final_sparsity - self.initial_sparsity) * x
