"""What rounds leave in the loggers."""

from collections.abc import Sequence

from lightning import Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.schedules.schedule import Schedule
from vitprune.training.probe import announce
from vitprune.training.pruning.histograms import log_histograms
from vitprune.training.pruning.rounds import Round


def is_long(trainer: Trainer, rounds: Sequence[Round]) -> bool:
    """Return whether the round that ends here is as long as what lies between two lines of a log."""
    return not rounds or trainer.global_step - rounds[-1].step >= trainer.log_every_n_steps


def log_scalars(trainer: Trainer, scalars: dict[str, float]) -> None:
    """Send scalars to every logger, at the present optimizer step."""
    for logger in trainer.loggers:
        logger.log_metrics(scalars, step=trainer.global_step)


def log_weights(trainer: Trainer, layers: Sequence[Layer]) -> None:
    """Send histograms of the weights to TensorBoard."""
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            log_histograms(
                logger.experiment if trainer.is_global_zero else None, layers, trainer.global_step
            )


def report(
    trainer: Trainer, rounds: Sequence[Round], schedule: Schedule, monitor: str | None
) -> None:
    """Log and print the round that ends here, if there is one."""
    if not rounds:
        return
    if rounds[-1].finetuned is not None:
        log_scalars(trainer, {"round/after_finetuning": rounds[-1].finetuned})
    announce(rounds[-1].line(None if schedule.observes else schedule.rounds, monitor))
