"""A geometric sparsity schedule."""

from vitprune.pruning.schedules.schedule import Schedule


class Geometric(Schedule):
    """Prune the same fraction of the remaining weights in every round.

    1 - s(x) = (1 - s0) ((1 - s1) / (1 - s0))^x, with the initial sparsity s0, the
    final s1, and x = r / R in round r of R.

    Source: Frankle and Carbin 2019.

    Examples:
        >>> [round(Geometric(0.9375, end=3).sparsity(r), 4) for r in (1, 2, 3, 4)]
        [0.5, 0.75, 0.875, 0.9375]

    """

    def sparsity_at(self, x: float) -> float:
        """Return the sparsity at fraction x of the rounds."""
        first, last = 1 - self.initial_sparsity, 1 - self.last_sparsity
        return 1 - first * (last / first) ** x
