"""After training: export the best model, and add figures to TensorBoard."""

from lightning import Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from vitprune.cli.latency import compare_to_table
from vitprune.cli.trainer import PruningTrainer
from vitprune.data import ImageData
from vitprune.exports.statistics import try_to
from vitprune.figures.run import figures_of
from vitprune.model import ViTClassifier
from vitprune.pruning import IterativePruning
from vitprune.runs.report import RunReport
from vitprune.runs.run_folder import RunFolder
from vitprune.training.checkpoints import RunCheckpoints
from vitprune.training.lightning_internals import is_a


def finish(
    trainer: PruningTrainer,
    model: ViTClassifier,
    datamodule: ImageData,
    pruning: IterativePruning | None,
) -> None:
    """Export the best model at the final sparsity, and add its figures to TensorBoard.

    Args:
        trainer: Trainer after `fit`.
        model: Trained model.
        datamodule: Data module, to evaluate the export.
        pruning: Pruning callback; None if nothing was pruned.

    """
    if trainer.fast_dev_run:
        return
    checkpoints = next((c for c in trainer.callbacks if isinstance(c, RunCheckpoints)), None)
    if checkpoints is None:
        rank_zero_info("Nothing was exported, since no checkpoints were saved.")
        return
    run = checkpoints.run(trainer)  # all processes must ask for it
    has_best = checkpoints.best.score is not None  # else a best.ckpt there is another run's
    try:
        if trainer.is_global_zero and has_best and run.best.exists():
            report = trainer.export(model, datamodule, str(run.best), output=str(run.export.path))
            if pruning:
                try_to("measure latencies", lambda: compare_to_table(run, pruning))
            try_to("add figures to TensorBoard", lambda: _add_figures(trainer, run, report))
        elif trainer.is_global_zero:
            _say_why_not(run, pruning)
    finally:
        trainer.strategy.barrier()  # the end of the first process may terminate the others


def _say_why_not(run: RunFolder, pruning: IterativePruning | None) -> None:
    why = "No epoch at the final sparsity was validated"
    if pruning and pruning.settings.searches:
        why = "No pruned checkpoint met the accuracy threshold of AccuracyGuarded"
    elif pruning and not pruning.state.finished:
        why = "The pruning schedule did not finish"
    print(f"{why}; nothing was exported. To export the last epoch:")
    print(f"vitprune export --ckpt_path {run.last}")


def _add_figures(trainer: Trainer, run: RunFolder, report: RunReport) -> None:
    """Add the curves of a run and the density of its layers to TensorBoard."""
    for logger in trainer.loggers:
        if is_a(logger, "TensorBoardLogger"):
            for name, figure in figures_of(report, run).items():
                logger.experiment.add_figure(f"figures/{name}", figure, trainer.global_step)
            logger.experiment.flush()
