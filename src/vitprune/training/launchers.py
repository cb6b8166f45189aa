"""Launchers of processes that keep the result of training to themselves."""

from lightning import Trainer

from vitprune.errors import UsageError
from vitprune.training.lightning_internals import is_a


def check_launcher(trainer: Trainer) -> None:
    """Raise `UsageError` if training runs in processes that return nothing but the weights.

    The masks and rounds of the pruning callback, the best metric so far and the loggers would be
    lost when these processes end.
    """
    if is_a(trainer.strategy.launcher, "_MultiProcessingLauncher"):
        raise UsageError(
            "the strategies ddp_spawn, ddp_fork and ddp_notebook return the weights of a training, "
            "but not its masks and rounds. Set trainer.strategy to ddp and run a script, or set "
            "trainer.devices to 1 in a notebook."
        )
