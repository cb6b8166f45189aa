"""All pruning in a single round."""

from vitprune.pruning.schedules.schedule import Schedule, Unit


class OneShot(Schedule):
    """Prune to the final sparsity in one round: the baseline for iterative pruning.

    Args:
        final_sparsity: Sparsity after the round, in [0, 1); null if `pruning.budget` has a target.
        begin: Epoch (or optimizer step) at whose start the round is due.
        unit: What `begin` counts: `epoch`, or `step` for optimizer steps.

    """

    def __init__(self, final_sparsity: float | None, begin: int = 0, unit: Unit = "epoch") -> None:
        super().__init__(final_sparsity, end=begin, begin=begin, unit=unit)

    def sparsity_at(self, x: float) -> float:
        """Return the final sparsity: there is no round before the last."""
        return self.last_sparsity
