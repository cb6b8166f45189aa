"""Curves of accuracy over sparsity."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitprune.figures.panels import LINES, MARKERS, add_legend, draw_dense, grid_of

Curve = Mapping[float, Sequence[float]]  # sparsity -> accuracies in [0, 1], one per seed
Curves = Mapping[str, Curve]  # label -> curve
Panels = Mapping[str, Curves]  # title of a panel -> its curves


def plot_curves(panels: Panels, dense: float, xlabel: str = "sparsity (%)") -> Figure:
    """Draw accuracy over sparsity: the mean over the seeds as a line, their range as a band.

    Args:
        panels: Curves by panel.
        dense: Accuracy of the dense model, in [0, 1]: a reference line, and the point at sparsity
            0 of every curve.
        xlabel: Label of the horizontal axes.

    """
    figure, grid = grid_of(len(panels), 4 if len(panels) > 9 else 3, (3.0, 2.6))
    styles = _styles(panels)
    for axes, (title, panel) in zip(grid, panels.items(), strict=True):
        draw_dense(axes, dense)
        shades = _shades(panel)
        for label, curve in panel.items():
            _draw({0.0: [dense], **curve}, axes, label, shades.get(label, styles[label]))
        axes.set_title(title, fontsize="medium")
        axes.grid(alpha=0.3)
    figure.supxlabel(xlabel, fontsize="medium")
    figure.supylabel("accuracy (%)", fontsize="medium")
    add_legend(figure, grid, 8 if len(panels) > 2 else 3)
    return figure


def _styles(panels: Panels) -> dict[str, dict[str, Any]]:
    """Return a line and a marker for each label, the same in every panel."""
    labels = dict.fromkeys(label for panel in panels.values() for label in panel)
    return {
        label: {
            "color": "black",
            "linestyle": LINES[number % len(LINES)],
            "marker": MARKERS[number % len(MARKERS)],
        }
        for number, label in enumerate(labels)
    }


def _shades(panel: Curves) -> dict[str, dict[str, Any]]:
    """Return shades in the order of the curves, if they are too many for distinct markers."""
    if len(panel) <= len(MARKERS):
        return {}
    colors = matplotlib.colormaps["viridis_r"](np.linspace(0, 1, len(panel)))
    return {
        label: {"color": color, "linestyle": "-", "marker": "."}
        for label, color in zip(panel, colors, strict=True)
    }


def _draw(curve: Curve, axes: Axes, label: str, style: dict[str, Any]) -> None:
    sparsities = sorted(curve)
    x = [100 * sparsity for sparsity in sparsities]
    accuracies = [[100 * value for value in curve[sparsity]] for sparsity in sparsities]
    means = [np.mean(values) for values in accuracies]
    axes.plot(x, means, markersize=3.5, linewidth=1.2, label=label, **style)
    if any(len(values) > 1 for values in accuracies):
        lowest = [min(values) for values in accuracies]
        highest = [max(values) for values in accuracies]
        axes.fill_between(x, lowest, highest, color="0.5", alpha=0.35)
