"""A list of sparsities."""

from vitprune.errors import UsageError
from vitprune.pruning.schedules.schedule import Schedule, Unit
from vitprune.runs.plain_values import plain


class Levels(Schedule):
    """Prune to the listed sparsities, one per round: the first round reaches levels[0].

    Args:
        levels: Increasing sparsities, each in [0, 1).
        begin: Epoch (or optimizer step) at whose start the first round is due.
        every: Epochs (or optimizer steps) between two rounds. The default is 1 epoch; several
            rounds in steps need it set.
        unit: What `begin` and `every` count: `epoch`, or `step` for optimizer steps.

    """

    def __init__(
        self,
        levels: list[float],
        begin: int = 0,
        every: int | None = None,
        unit: Unit = "epoch",
    ) -> None:
        levels = plain(levels)
        if not levels or sorted(levels) != levels or not 0 <= levels[0] <= levels[-1] < 1:
            raise UsageError(f"levels must be increasing sparsities in [0, 1), not {levels}.")
        self.levels = levels
        end = begin + (len(levels) - 1) * (1 if every is None else every)
        super().__init__(levels[-1], end, begin, every, unit)

    def sparsity_at(self, x: float) -> float:
        """Return the level of the round at fraction x."""
        return self.levels[round(x * self.rounds) - 1]
