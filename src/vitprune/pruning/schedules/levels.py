"""A list of sparsities."""

from vitprune.errors import UsageError
from vitprune.pruning.schedules.schedule import Schedule


class Levels(Schedule):
    """The sparsities that are listed, s(r / R) = levels[r], one a round, at regular intervals.

    Args:
        levels: Rising sparsities, each in [0, 1).
        begin_epoch: Epoch at whose start the first level is due.
        every_n_epochs: Epochs from one level to the next.
        begin_step: Optimizer step before which the first level is due, instead; needs
            `every_n_steps`.
        every_n_steps: Optimizer steps from one level to the next.

    """

    def __init__(
        self,
        levels: list[float],
        begin_epoch: int = 0,
        every_n_epochs: int = 1,
        begin_step: int = 0,
        every_n_steps: int | None = None,
    ) -> None:
        if not levels or sorted(levels) != list(levels) or not 0 <= levels[0] <= levels[-1] < 1:
            raise UsageError(f"levels must be rising sparsities in [0, 1), not {levels}.")
        self.levels = list(levels)
        gaps = len(levels) - 1
        super().__init__(
            levels[-1],
            begin_epoch,
            end_epoch=begin_epoch + gaps * every_n_epochs if every_n_steps is None else None,
            every_n_epochs=every_n_epochs,
            begin_step=begin_step,
            end_step=None if every_n_steps is None else begin_step + gaps * every_n_steps,
            every_n_steps=every_n_steps,
        )

    def sparsity_at(self, x: float) -> float:
        """Return the level of the round at x."""
        return self.levels[round(x * self.rounds) - 1]
