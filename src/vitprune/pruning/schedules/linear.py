"""A linear sparsity schedule."""

from vitprune.pruning.schedules.schedule import Schedule


class Linear(Schedule):
    """Prune the same number of weights in every round: s(x) = s0 + (s1 - s0) x.

    Here s0 is the initial and s1 the final sparsity, and x = r / R in round r of R.

    Examples:
        >>> [round(Linear(0.8, end=3).sparsity(r), 3) for r in (1, 2, 3, 4)]
        [0.2, 0.4, 0.6, 0.8]

    """

    def sparsity_at(self, x: float) -> float:
        """Return the sparsity at fraction x of the rounds."""
        return self.initial_sparsity + (self.last_sparsity - self.initial_sparsity) * x
