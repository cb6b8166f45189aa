"""The figure of a run: accuracy and sparsity over its epochs."""

from collections.abc import Mapping
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitprune.figures.panels import draw_dense

StepCurve = Mapping[int, float]  # optimizer step -> value in [0, 1]


@dataclass(frozen=True)
class TrainingCurves:
    """The metrics of a run.

    Attributes:
        accuracy: Validation accuracy at the end of the epochs.
        sparsity: Sparsity of the prunable weights.
        after_pruning: Validation accuracy just after each pruning round.
        steps_per_epoch: Number of optimizer steps in an epoch.

    """

    accuracy: StepCurve
    sparsity: StepCurve
    after_pruning: StepCurve
    steps_per_epoch: float


def plot_training(curves: TrainingCurves, dense: float | None) -> Figure:
    """Draw validation accuracy and sparsity over the epochs of a run.

    Args:
        curves: Metrics of the run.
        dense: Accuracy before the first round, in [0, 1], drawn as a reference line; None if it
            was not measured.

    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    if dense is not None:
        draw_dense(axes, dense)
    x, y = _line(curves.accuracy, curves.steps_per_epoch)
    axes.plot(x, y, color="black", marker="o", markersize=4, label="after fine-tuning")
    if curves.after_pruning:
        x, y = _line(curves.after_pruning, curves.steps_per_epoch)
        axes.plot(x, y, color="0.35", linestyle="", marker="v", label="just after pruning")
    axes.set(xlabel="epoch", ylabel="validation accuracy (%)")
    axes.grid(alpha=0.3)
    if curves.sparsity:
        _draw_sparsity(axes, curves)
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize="small")
    return figure


def _draw_sparsity(axes: Axes, curves: TrainingCurves) -> None:
    x, y = _line(curves.sparsity, curves.steps_per_epoch)
    right = axes.twinx()
    right.step(x, y, where="post", color="0.35", linestyle="--", label="sparsity (right axis)")
    right.set(ylabel="sparsity of the prunable weights (%)", ylim=(0, 100))


def _line(curve: StepCurve, steps_per_epoch: float) -> tuple[list[float], list[float]]:
    """Return epochs and percentages."""
    steps = sorted(curve)
    return [step / steps_per_epoch for step in steps], [100 * curve[step] for step in steps]
