"""The figures of a run."""

from matplotlib.figure import Figure

from vitprune.figures.plots import plot_density, plot_training
from vitprune.runs.metrics import read_metrics
from vitprune.runs.report import RunReport
from vitprune.runs.run_folder import RunFolder


def figures_of(report: RunReport, run: RunFolder | None) -> dict[str, Figure]:
    """Return `training`, if the run has logged epochs, and `density`, if the model was pruned."""
    training = _training(run, report) if run else None
    density = plot_density(layers) if (layers := report.sparsity.layers) else None
    return {
        name: figure for name, figure in (("training", training), ("density", density)) if figure
    }


def _training(run: RunFolder, report: RunReport) -> Figure | None:
    """Draw accuracy and sparsity over the epochs of a run; None if it has logged no epochs."""
    curves = read_metrics(run)
    if "epoch" not in curves:
        return None
    # The run may have monitored another metric than accuracy.
    has_accuracies = any(done.accuracy_pruned is not None for done in report.rounds)
    steps_per_epoch = (max(curves["epoch"]) + 1) / (max(curves["epoch"].values()) + 1)
    return plot_training(
        {step + 1: value for step, value in curves.get("val/accuracy", {}).items()},
        curves.get("sparsity/prunable", {}),
        curves.get("round/after_pruning", {}) if has_accuracies else {},
        steps_per_epoch,
        report.base.accuracy,
    )
