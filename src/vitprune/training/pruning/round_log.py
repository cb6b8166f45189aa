"""What rounds write to the loggers."""

from collections.abc import Sequence

from lightning import Trainer

from vitprune.model.anatomy.layers import Layer
from vitprune.training.lightning_internals import is_a
from vitprune.training.probe import announce
from vitprune.training.pruning.histograms import log_histograms
from vitprune.training.pruning.rounds import Round
from vitprune.training.pruning.settings import PruningSettings


def is_long(trainer: Trainer, rounds: Sequence[Round]) -> bool:
    """Return whether the current round lasted at least `trainer.log_every_n_steps` steps."""
    return not rounds or trainer.global_step - rounds[-1].step >= trainer.log_every_n_steps


def log_scalars(trainer: Trainer, scalars: dict[str, float]) -> None:
    """Send scalars to every logger, at the current optimizer step."""
    for logger in trainer.loggers:
        logger.log_metrics(scalars, step=trainer.global_step)


def log_weights(trainer: Trainer, layers: Sequence[Layer]) -> None:
    """Send histograms of the weights to TensorBoard."""
    for logger in trainer.loggers:
        if is_a(logger, "TensorBoardLogger"):
            log_histograms(
                logger.experiment if trainer.is_global_zero else None, layers, trainer.global_step
            )


def end_round(
    trainer: Trainer, layers: Sequence[Layer], rounds: Sequence[Round], settings: PruningSettings
) -> None:
    """Log and print the round that ends now, if there is one, and log the weights."""
    if rounds:
        if rounds[-1].finetuned is not None:
            log_scalars(trainer, {"round/after_finetuning": rounds[-1].finetuned})
        announce(rounds[-1].line(settings.schedule.rounds, settings.monitor))
    log_weights(trainer, layers)
