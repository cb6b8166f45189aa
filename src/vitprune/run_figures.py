"""What a finished run draws for TensorBoard."""

from pathlib import Path

from lightning import Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from vitprune.analysis.plots import plot_density
from vitprune.export.figures import plot_run


def add_figures(trainer: Trainer, run_folder: Path, dense: float | None, sparsities: dict[str, float]) -> None:
    """Show a run's curves and where its zeros are.

    Args:
        trainer: Its TensorBoard loggers get the figures; nothing is asked of its other processes.
        run_folder: Where its metrics are.
        dense: Accuracy of the dense model, in [0, 1], where it is known.
        sparsities: By layer; none where nothing was pruned.

    """
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            if training := plot_run(run_folder, dense):
                logger.experiment.add_figure("figures/training", training, trainer.global_step)
            if sparsities:
                logger.experiment.add_figure("figures/density", plot_density(sparsities), trainer.global_step)
            logger.experiment.flush()
