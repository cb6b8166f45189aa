"""The figures of a run and of its export."""

from matplotlib.figure import Figure

from vitprune.figures.density import plot_density
from vitprune.figures.search import plot_search
from vitprune.figures.training import TrainingCurves, plot_training
from vitprune.runs.metrics import read_metrics
from vitprune.runs.report import RunReport
from vitprune.runs.run_folder import RunFolder
from vitprune.runs.trials import Trials


def figures_of(report: RunReport, run: RunFolder | None) -> dict[str, Figure]:
    """Return the figures of a report by name.

    They are `training`, if the run has logged an epoch, `density`, if the model was pruned, and
    `search` (and `search_2` and so on for further pruning callbacks), if it searched for rates.
    """
    figures = {}
    if curves := _curves(report, run) if run else None:
        figures["training"] = plot_training(curves, report.base.accuracy)
    if report.sparsity.layers:
        figures["density"] = plot_density(report.sparsity.layers)
    for path in run.searches() if run else ():
        figures[path.stem] = plot_search(Trials.read(path).trials)
    return figures


def _curves(report: RunReport, run: RunFolder) -> TrainingCurves | None:
    """Read the curves of a run from its metrics; None if no epoch was logged."""
    metrics = read_metrics(run)
    epochs = metrics.get("epoch")
    if not epochs:
        return None
    # the rounds may have recorded another metric than the accuracy
    is_accuracy = any(done.accuracy_pruned is not None for done in report.rounds)
    return TrainingCurves(
        accuracy={step + 1: value for step, value in metrics.get("val/accuracy", {}).items()},
        sparsity=metrics.get("sparsity/prunable", {}),
        after_pruning=metrics.get("round/after_pruning", {}) if is_accuracy else {},
        steps_per_epoch=(max(epochs) + 1) / (max(epochs.values()) + 1),
    )
