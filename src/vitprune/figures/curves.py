"""Figures of accuracy against sparsity: curves in panels, and a map of what each sparsity costs. Readable in grey."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Title of a panel -> label of a curve or a row -> sparsity -> accuracies, one for each seed
Panels = Mapping[str, Mapping[str, Mapping[float, Sequence[float]]]]
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "x", "P", "*")


def plot_curves(panels: Panels, dense: float, xlabel: str = "sparsity (%)") -> Figure:
    """Draw accuracy against sparsity, the mean over the seeds as a line and their range as a band.

    Args:
        panels: What to draw.
        dense: Accuracy of the dense model, in [0, 1], drawn as a reference line and as the point at
            sparsity 0.
        xlabel: Title of the horizontal axes.

    """
    figure, grid = _panels(len(panels), 3.0, 2.6)
    labels = list(dict.fromkeys(label for panel in panels.values() for label in panel))
    for axes, (title, panel) in zip(grid, panels.items(), strict=True):
        axes.axhline(100 * dense, color="0.6", linewidth=1, label=f"dense, {100 * dense:.1f} %")
        for number, (label, curve) in enumerate(panel.items()):
            shade = number / (len(panel) - 1) if len(panel) > len(MARKERS) else None
            _curve(axes, curve, dense, label, labels.index(label), shade)
        axes.set_title(title, fontsize="medium")
        axes.grid(alpha=0.3)
    figure.supxlabel(xlabel, fontsize="medium")
    figure.supylabel("accuracy (%)", fontsize="medium")
    handles = {
        text: handle
        for axes in grid
        for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    columns = min(len(handles), 8 if len(panels) > 2 else 3)
    figure.legend(
        handles.values(),
        handles,
        loc="outside upper center",
        ncols=columns,
        frameon=False,
        fontsize="small",
    )
    return figure


def _curve(
    axes: Axes,
    curve: Mapping[float, Sequence[float]],
    dense: float,
    label: str,
    index: int,
    shade: float | None,
) -> None:
    points = {0.0: [dense], **curve}
    x = sorted(points)
    values = [[100 * value for value in points[sparsity]] for sparsity in x]
    style: dict[str, Any] = {
        "color": "black",
        "linestyle": LINES[index % 4],
        "marker": MARKERS[index % 8],
    }
    if shade is not None:  # too many to tell apart one by one: their order shows as a shade
        style = {"color": matplotlib.colormaps["viridis_r"](shade), "linestyle": "-", "marker": "."}
    axes.plot(
        [100 * s for s in x],
        [np.mean(v) for v in values],
        markersize=3.5,
        linewidth=1.2,
        label=label,
        **style,
    )
    if max(map(len, values)) > 1:
        axes.fill_between(
            [100 * s for s in x],
            [min(v) for v in values],
            [max(v) for v in values],
            color="0.5",
            alpha=0.35,
        )


def plot_drop_map(panels: Panels, dense: float, ylabel: str) -> Figure:
    """Draw how many points of accuracy each sparsity costs, as maps of rows by sparsities.

    Args:
        panels: What to draw; every curve has the same sparsities.
        dense: Accuracy of the dense model, in [0, 1].
        ylabel: What the rows are.

    """
    columns = sorted(
        {sparsity for panel in panels.values() for curve in panel.values() for sparsity in curve}
    )
    most_rows = max(len(panel) for panel in panels.values())
    figure, grid = _panels(
        len(panels), max(2.2, 1.6 + 0.36 * len(columns)), 0.9 + 0.26 * most_rows, sharey=False
    )
    drops = {
        title: np.array(
            [
                [100 * (dense - np.mean(curve.get(s, [np.nan]))) for s in columns]
                for curve in panel.values()
            ]
        )
        for title, panel in panels.items()
    }
    top = max(1.0, max(float(np.nanmax(drop)) for drop in drops.values()))
    for axes, (title, panel) in zip(grid, panels.items(), strict=True):
        image = axes.imshow(drops[title], cmap="Greys", vmin=0, vmax=top, aspect="auto")
        axes.set_xticks(range(len(columns)), [f"{100 * s:.3g}" for s in columns], fontsize="small")
        axes.set_yticks(range(len(panel)), panel, fontsize="small")
        axes.set_title(title, fontsize="medium")
        for (row, column), drop in np.ndenumerate(drops[title]):
            color = "white" if drop > 0.55 * top else "black"
            axes.text(
                column,
                row,
                f"{drop:z.1f}",
                ha="center",
                va="center",
                color=color,
                fontsize="x-small",
            )
    figure.supxlabel("sparsity (%)", fontsize="medium")
    figure.supylabel(ylabel, fontsize="medium")
    figure.colorbar(image, ax=figure.axes, label="accuracy lost (points)", fraction=0.03)
    return figure


def _panels(
    count: int, width: float, height: float, sharey: bool = True
) -> tuple[Figure, list[Axes]]:
    columns = min(count, 4 if count > 9 else 3)
    rows = math.ceil(count / columns)
    size = (max(5.5, width * columns + 1), max(3.6, height * rows + 0.9))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=sharey).flatten()
    for axes in grid[count:]:
        axes.set_axis_off()
    return figure, list(grid[:count])
