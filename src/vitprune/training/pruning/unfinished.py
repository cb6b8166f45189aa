"""A warning if training ends before the last pruning round."""

from lightning import Callback, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_warn

from vitprune.pruning.schedules.schedule import Schedule
from vitprune.training.lightning_internals import is_a
from vitprune.training.pruning.state import PruningState


def warn_if_unfinished(trainer: Trainer, state: PruningState) -> None:
    """Warn at the end of training if a schedule has rounds left, and say why.

    There is no warning for a dry run (`fast_dev_run`), nor for an accuracy-guarded search, which
    reports its end itself (`Search.settle`).
    """
    if trainer.fast_dev_run or not isinstance(state.plan, Schedule) or state.finished:
        return
    schedule = state.plan
    rank_zero_warn(
        f"The pruning schedule did not finish: reached sparsity {state.removed:.3f} of "
        f"{schedule.last_sparsity:g}. Training ended in epoch {trainer.current_epoch - 1} after "
        f"step {trainer.global_step}, and the last round is due at {schedule.unit} "
        f"{schedule.end}: {_reason(trainer, schedule)}"
    )


def _reason(trainer: Trainer, schedule: Schedule) -> str:
    """Return why training ended, as far as that is known, and what to do."""
    if trainer.should_stop:
        name = next(filter(None, map(_stopped_by, trainer.callbacks)), None)
        reason = f"{name} stopped training" if name else "trainer.should_stop was set"
        return f"{reason}. Decrease pruning.schedule.end, or stop later."
    if schedule.unit == "step":
        return (
            "there were fewer steps than expected, as with GradientAccumulationScheduler or data "
            "of unknown length. Decrease pruning.schedule.end, or train longer."
        )
    return (
        "trainer.max_epochs or trainer.max_steps was reached. Decrease pruning.schedule.end, or "
        "train longer."
    )


def _stopped_by(callback: Callback) -> str | None:
    """Return the name of a callback of Lightning if it has ended the training; None otherwise."""
    if is_a(callback, "EarlyStopping") and callback.stopping_reason_message is not None:
        return type(callback).__name__
    if is_a(callback, "Timer"):
        left = callback.time_remaining()
        return "Timer (trainer.max_time)" if left is not None and left <= 0 else None
    return None
