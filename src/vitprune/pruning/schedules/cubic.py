"""A cubic sparsity schedule."""

from vitprune.pruning.schedules.schedule import Schedule


class Cubic(Schedule):
    """Prune most weights early: s(x) = s1 + (s0 - s1) (1 - x)^3.

    Here s0 is the initial and s1 the final sparsity, and x = r / R in round r of R.

    Source: Zhu and Gupta 2017.

    Examples:
        >>> [round(Cubic(0.8, end=3).sparsity(r), 3) for r in (1, 2, 3, 4)]
        [0.463, 0.7, 0.788, 0.8]

    """

    def sparsity_at(self, x: float) -> float:
        """Return the sparsity at fraction x of the rounds."""
        return self.last_sparsity + (self.initial_sparsity - self.last_sparsity) * (1 - x) ** 3
