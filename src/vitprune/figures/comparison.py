"""Models side by side: accuracy over sparsity, FLOPs and latency."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitprune.figures.panels import LINES, MARKERS, add_legend, draw_dense

Kind = Literal["dense", "no fine-tuning", "one-shot", "iterative"]


@dataclass(frozen=True)
class ComparedModel:
    """One result of a run, or one point of a sweep.

    Attributes:
        name: Name of the run; of a method in a sweep, name of the run and of the method.
        kind: How it was pruned and whether it was fine-tuned.
        images_seen: Number of training images, repetitions included; None if it was not recorded.
        data: Validation images: their source, and their number if it is known.
        sparsity: Sparsity of the prunable weights, in [0, 1].
        sparsity_total: Sparsity of all parameters, in [0, 1]; None if it is not known.
        accuracy_dense: Accuracy before pruning, in [0, 1]; None if it was not measured.
        accuracy_pruned: Accuracy just after pruning, before fine-tuning; None if it was not
            measured, or if there was more than one round.
        accuracy: Final accuracy, in [0, 1]; None if it was not measured.
        flops: Floating-point operations of one image; None if they were not counted.
        latency_ms: Latency of a batch of one, if `vitprune benchmark` has measured it.

    """

    name: str
    kind: Kind
    images_seen: int | None
    data: str
    sparsity: float
    sparsity_total: float | None
    accuracy_dense: float | None
    accuracy_pruned: float | None
    accuracy: float | None
    flops: int | None
    latency_ms: float | None

    @property
    def was_trained(self) -> bool:
        """Whether it was trained after or without pruning."""
        return self.kind != "no fine-tuning"


@dataclass(frozen=True)
class Axis:
    """A horizontal axis.

    Attributes:
        label: Its label, with the unit.
        values: Value of each model in this unit; None if it is not known.

    """

    label: str
    values: Sequence[float | None]

    @property
    def distinguishes(self) -> bool:
        """Whether at least two models differ."""
        return len(set(self.values) - {None}) > 1


def plot_comparison(models: Sequence[ComparedModel]) -> Figure:
    """Draw accuracy over sparsity, and over FLOPs and latency where they differ."""
    sparsity, *costs = _axes(models)
    shown = [sparsity, *(axis for axis in costs if axis.distinguishes)]
    figure = Figure(figsize=(max(7.5, 4.2 * len(shown)), 4.6), layout="constrained")
    grid = list(figure.subplots(1, len(shown), squeeze=False, sharey=True)[0])
    dense = sorted({m.accuracy_dense for m in models if m.accuracy_dense is not None})
    for axes, axis in zip(grid, shown, strict=True):
        for number, accuracy in enumerate(dense):
            draw_dense(axes, accuracy, LINES[number % len(LINES)])
        _draw_all(axes, models, axis)
        axes.set_xlim(left=0)
        axes.set_xlabel(axis.label)
        axes.grid(alpha=0.3)
    grid[0].set_ylabel("validation accuracy (%)")
    add_legend(figure, grid, columns=2)
    return figure


def _axes(models: Sequence[ComparedModel]) -> tuple[Axis, Axis, Axis]:
    return (
        Axis("sparsity (%)", [100 * model.sparsity for model in models]),
        Axis(
            "GFLOPs per image",
            [None if model.flops is None else model.flops / 1e9 for model in models],
        ),
        Axis("latency (ms)", [model.latency_ms for model in models]),
    )


def _draw_all(axes: Axes, models: Sequence[ComparedModel], axis: Axis) -> None:
    """Draw sweeps as lines, runs as filled markers, and runs just after pruning as hollow ones."""
    placed = [(x, model) for x, model in zip(axis.values, models, strict=True) if x is not None]
    for number, (name, kind) in enumerate(dict.fromkeys((m.name, m.kind) for m in models)):
        mine = [(x, model) for x, model in placed if (model.name, model.kind) == (name, kind)]
        final = [(x, model.accuracy) for x, model in mine]
        marker = MARKERS[number % len(MARKERS)]
        if kind == "no fine-tuning":
            style = {"markersize": 3.5, "linestyle": LINES[number % len(LINES)], "color": "0.45"}
            _draw(axes, final, f"{name}: {kind}", marker=marker, **style)
            continue
        style = {"markersize": 8, "linestyle": "", "color": "black"}
        _draw(axes, final, f"{name}: {kind}", marker=marker, **style)
        before = [(x, model.accuracy_pruned) for x, model in mine]
        label = f"{name}: just after pruning"
        _draw(axes, before, label, marker=marker, markerfacecolor="none", **style)


def _draw(
    axes: Axes, points: Sequence[tuple[float, float | None]], label: str, **style: Any
) -> None:
    """Draw the points whose accuracy is known."""
    known = [(x, accuracy) for x, accuracy in points if accuracy is not None]
    if known:
        x, accuracies = zip(*known, strict=True)
        axes.plot(x, [100 * accuracy for accuracy in accuracies], label=label, **style)
