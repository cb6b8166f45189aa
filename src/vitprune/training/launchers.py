"""Launchers whose processes do not return the state of callbacks."""

from lightning import Trainer

from vitprune.errors import UsageError
from vitprune.training.lightning_internals import is_a


def check_launcher(trainer: Trainer) -> None:
    """Raise `UsageError` if a strategy trains in processes that return only the weights.

    Lightning's spawn and fork launchers do. The state of callbacks and loggers in these processes,
    such as masks, rounds and the best metric, is lost when they end.
    """
    if is_a(trainer.strategy.launcher, "_MultiProcessingLauncher"):
        raise UsageError(
            "the strategies ddp_spawn, ddp_fork and ddp_notebook lose masks and rounds: their "
            "processes return only the weights. Run a script with trainer.strategy ddp, or a "
            "notebook with trainer.strategy auto and trainer.devices 1."
        )
