"""What a finished run leaves: the export of its best state, and figures for TensorBoard."""

from pathlib import Path

from lightning import Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from vitprune.cli.trainer import PruningTrainer
from vitprune.data import ImageData
from vitprune.figures.run import figures_of
from vitprune.model import ViTClassifier
from vitprune.pruning import IterativePruning
from vitprune.runs.report import RunReport
from vitprune.runs.run_folder import RunFolder
from vitprune.training.checkpoints import RunCheckpoints


def finish(
    trainer: PruningTrainer,
    model: ViTClassifier,
    datamodule: ImageData,
    pruning: IterativePruning | None,
) -> None:
    """Export the best model at the final sparsity, and draw the run.

    Args:
        trainer: Has trained.
        model: What it trained.
        datamodule: Scores the export.
        pruning: None if nothing was pruned.

    """
    if trainer.fast_dev_run:
        return
    checkpoints = next(c for c in trainer.callbacks if isinstance(c, RunCheckpoints))
    # these are found out by all processes together
    best, run_folder = checkpoints.folder(trainer) / "best.ckpt", Path(trainer.log_dir)
    found = checkpoints.best_score is not None  # else a best there is another run's
    try:
        if trainer.is_global_zero and found and best.exists():
            report = trainer.export(model, datamodule, str(best), output=str(run_folder / "export"))
            _add_figures(trainer, run_folder, report)
        elif trainer.is_global_zero:
            _say_why_not(best, pruning)
    finally:
        trainer.strategy.barrier()  # a process that ends early may take the others with it


def _say_why_not(best: Path, pruning: IterativePruning | None) -> None:
    why = "no epoch at the final sparsity was validated"
    if pruning and pruning.schedule.observes:
        why = f"no pruned state kept {pruning.monitor} as high as {type(pruning.schedule).__name__} wants it"
    print(f"nothing was exported: {why}. To export the last epoch as it is:")
    print(f"vitprune export --ckpt_path {best.with_name('last.ckpt')}")


def _add_figures(trainer: Trainer, run_folder: Path, report: RunReport) -> None:
    """Show a run's curves and where its zeros are.

    Args:
        trainer: Its TensorBoard loggers get the figures; nothing is asked of its other processes.
        run_folder: Where its metrics are.
        report: Of its export.

    """
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            for name, figure in figures_of(report, RunFolder(run_folder)).items():
                logger.experiment.add_figure(f"figures/{name}", figure, trainer.global_step)
            logger.experiment.flush()
