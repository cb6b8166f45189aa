"""A single round."""

from vitprune.pruning.schedules.schedule import Schedule, check_unused


class OneShot(Schedule):
    """Everything in one round: s(1) = s1, the control that iterating has to beat.

    Args:
        final_sparsity: In [0, 1).
        epoch: Epoch at whose start it is due.
        step: Optimizer step before which it is due, instead.

    """

    def __init__(self, final_sparsity: float, epoch: int = 0, step: int | None = None) -> None:
        if step is None:
            super().__init__(final_sparsity, begin_epoch=epoch, end_epoch=epoch)
        else:
            check_unused("epochs", epoch=(epoch, 0))
            super().__init__(final_sparsity, begin_step=step, end_step=step)

    def sparsity_at(self, x: float) -> float:
        """Never between two rounds."""
        return self.final_sparsity
