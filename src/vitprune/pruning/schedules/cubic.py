"""A cubic sparsity schedule."""

from vitprune.pruning.schedules.schedule import Schedule


class Cubic(Schedule):
    """Much at first, little at the end: s(x) = s1 + (s0 - s1) (1 - x)^3 (Zhu and Gupta 2017).

    Example:
        >>> [round(Cubic(0.8, end_epoch=3).sparsity(r), 3) for r in (1, 2, 3, 4)]
        [0.463, 0.7, 0.788, 0.8]

    """

    def sparsity_at(self, x: float) -> float:
        """See the class."""
        return self.final_sparsity + (self.initial_sparsity - self.final_sparsity) * (1 - x) ** 3
