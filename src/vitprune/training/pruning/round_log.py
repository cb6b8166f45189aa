"""What rounds write to the loggers."""

from collections.abc import Sequence
from pathlib import Path

from lightning import Trainer

from vitprune.model.anatomy.layers import Layer
from vitprune.runs.loggers import LOGGED
from vitprune.runs.write_errors import naming
from vitprune.training.lightning_internals import is_a
from vitprune.training.probe import announce
from vitprune.training.pruning.histograms import log_histograms
from vitprune.training.pruning.rounds import Round
from vitprune.training.pruning.settings import PruningSettings
from vitprune.training.pruning.state import PruningState


def is_long(trainer: Trainer, rounds: Sequence[Round]) -> bool:
    """Return whether the current round lasted at least `trainer.log_every_n_steps` steps."""
    return not rounds or trainer.global_step - rounds[-1].step >= trainer.log_every_n_steps


def log_scalars(trainer: Trainer, number: int, scalars: dict[str, float]) -> None:
    """Send scalars to every logger, at the current optimizer step.

    Args:
        trainer: The trainer with the loggers.
        number: Number of the pruning callback in the trainer, from 1. That of the second one is in
            the names that it logs: `sparsity_2/prunable`.
        scalars: Values by name.

    """
    labelled = {name.replace("/", f"{label(number)}/", 1): value for name, value in scalars.items()}
    for logger in trainer.loggers:
        logger.log_metrics(labelled, step=trainer.global_step)


def prefix(number: int) -> str:
    """Return how lines of the second pruning callback and of later ones begin."""
    return "" if number == 1 else f"pruning {number}: "


def label(number: int) -> str:
    """Return the label of a pruning callback in what it logs: "_2" and so on; "" for the first."""
    return "" if number == 1 else f"_{number}"


def log_weights(trainer: Trainer, layers: Sequence[Layer]) -> None:
    """Send histograms of the weights to TensorBoard."""
    for logger in trainer.loggers:
        if is_a(logger, "TensorBoardLogger"):
            writer = logger.experiment if trainer.is_global_zero else None
            with naming(Path(logger.log_dir), LOGGED):
                log_histograms(writer, layers, trainer.global_step)


def end_round(
    trainer: Trainer, layers: Sequence[Layer], state: PruningState, settings: PruningSettings
) -> None:
    """Log and print the round that ends now, if there is one, and log the weights."""
    if state.rounds:
        ended = state.rounds[-1]
        if ended.finetuned is not None:
            log_scalars(trainer, state.number, {"round/after_finetuning": ended.finetuned})
        line = ended.line(settings.schedule.rounds, settings.monitor)
        announce(f"{prefix(state.number)}{line}")
    log_weights(trainer, layers)
