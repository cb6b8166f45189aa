"""Histograms of weights. Zeros are counted apart, so that they do not hide the other weights."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitprune.figures.panels import grid_of

SIZE = (3.2, 2.4)  # of a panel, in inches


@dataclass(frozen=True)
class Histogram:
    """Number of weights of one layer in one state, by value.

    Attributes:
        edges: Edges of the bins, (bins + 1,), the same for every state of a layer.
        counts: Number of nonzero weights in each bin, (bins,).
        zeros: Number of exact zeros.

    """

    edges: np.ndarray
    counts: np.ndarray
    zeros: int

    @property
    def weights(self) -> int:
        """Number of all weights."""
        return int(self.counts.sum()) + self.zeros


def plot_histograms(layer: str, states: Mapping[str, Histogram]) -> Figure:
    """Draw the nonzero weights of a layer, a panel for each state, with its share of zeros."""
    figure, grid = grid_of(len(states), 3, SIZE, sharex=True)
    _label(figure, f"{layer}: nonzero weights")
    for axes, (state, histogram) in zip(grid, states.items(), strict=True):
        _draw_bars(axes, histogram, state, color="0.35")
    return figure


def plot_before_and_after(places: Mapping[str, Mapping[str, Histogram]]) -> Figure:
    """Draw the nonzero weights, a panel for each place; see `plot_histograms`.

    Args:
        places: States by place. The last state is drawn as bars, the earlier ones as outlines in
            front of them.

    """
    figure, grid = grid_of(len(places), 3, SIZE, sharey=False)
    _label(figure, "nonzero weights")
    for axes, (place, states) in zip(grid, places.items(), strict=True):
        *before, last = states
        _draw_bars(axes, states[last], f"{place}, {last}", color="0.6", label=last)
        for state in before:
            outline = states[state]
            axes.stairs(outline.counts, outline.edges, color="black", linewidth=1.2, label=state)
    figure.legend(
        *grid[0].get_legend_handles_labels(),
        loc="outside upper right",
        ncols=2,
        frameon=False,
        fontsize="small",
    )
    return figure


def _label(figure: Figure, title: str) -> None:
    figure.suptitle(title, fontsize="medium")
    figure.supxlabel("weight", fontsize="medium")
    figure.supylabel("number of weights", fontsize="medium")


def _draw_bars(
    axes: Axes, histogram: Histogram, title: str, *, color: str, label: str = ""
) -> None:
    widths = np.diff(histogram.edges)
    axes.bar(histogram.edges[:-1], histogram.counts, widths, align="edge", color=color, label=label)
    zeros = histogram.zeros / histogram.weights
    axes.set_title(f"{title}\n{zeros:.1%} zeros", fontsize="medium")
    axes.grid(alpha=0.3)
    axes.locator_params(axis="x", nbins=5)
