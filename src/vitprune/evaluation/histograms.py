"""How the weights of a layer are distributed before and after pruning, the zeros apart so that they do not hide the rest."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

BINS = 60
RESULT = "histograms.csv"


@dataclass(frozen=True)
class Histogram:
    """The weights of one layer, counted.

    Attributes:
        edges: Borders of the bins, (bins + 1,), the same for every state of a layer.
        counts: Weights that are not zero, by bin, (bins,).
        zeros: Exact zeros.

    """

    edges: np.ndarray
    counts: np.ndarray
    zeros: int

    @property
    def weights(self) -> int:
        """Number of all weights."""
        return int(self.counts.sum()) + self.zeros


def count(states: Mapping[str, Tensor]) -> dict[str, Histogram]:
    """Return the histogram of a layer's weight in each of its states, all with the same bins, symmetric around zero."""
    largest = max(float(weight.abs().max()) for weight in states.values()) or 1.0
    edges = np.linspace(-largest, largest, BINS + 1)
    return {state: _count(weight, edges) for state, weight in states.items()}


def _count(weight: Tensor, edges: np.ndarray) -> Histogram:
    values = weight[weight != 0].double().numpy()
    return Histogram(
        edges, np.histogram(values, edges)[0], weight.numel() - int(torch.count_nonzero(weight))
    )


def save(layers: Mapping[str, Mapping[str, Histogram]], folder: Path) -> dict[str, Figure]:
    """Write `histograms.csv` and a figure for each layer into a folder; return the figures by
    layer.

    Args:
        layers: Histograms by layer and state.
        folder: Where to.

    """
    write_csv(layers, folder / RESULT)
    figures = {layer: plot_histograms(layer, states) for layer, states in layers.items()}
    for layer, figure in figures.items():
        figure.savefig(folder / f"{layer}.png", dpi=150)
    return figures


def write_csv(layers: Mapping[str, Mapping[str, Histogram]], path: Path) -> None:
    """Write a line for every bin, and one from 0 to 0 for the zeros."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("layer", "state", "low", "high", "weights"))
        for layer, states in layers.items():
            for state, histogram in states.items():
                writer.writerow((layer, state, 0.0, 0.0, histogram.zeros))
                bins = zip(histogram.edges, histogram.edges[1:], histogram.counts, strict=False)
                writer.writerows(
                    (layer, state, *map(float, edges), int(number)) for *edges, number in bins
                )


def plot_histograms(layer: str, states: Mapping[str, Histogram]) -> Figure:
    """Draw the weights of a layer that are not zero, a panel for each state, with its share of zeros in words."""
    figure, grid = _panels(len(states), f"{layer}: weights that are not zero", same_axes=True)
    for axes, (state, histogram) in zip(grid, states.items(), strict=True):
        _bars(axes, histogram, state)
    return figure


def plot_before_and_after(places: Mapping[str, Mapping[str, Histogram]]) -> Figure:
    """Draw the weights that are not zero, a panel for each place; see `plot_histograms`.

    Args:
        places: States by place. The last state is drawn as bars, and those before it as outlines in
            front of them.

    """
    figure, grid = _panels(len(places), "weights that are not zero", same_axes=False)
    for axes, (place, states) in zip(grid, places.items(), strict=True):
        *before, last = states
        _bars(axes, states[last], f"{place}, {last}", label=last)
        for state in before:
            axes.stairs(
                states[state].counts, states[state].edges, color="black", linewidth=1.2, label=state
            )
    figure.legend(
        *grid[0].get_legend_handles_labels(),
        loc="outside upper right",
        ncols=2,
        frameon=False,
        fontsize="small",
    )
    return figure


def _panels(count: int, title: str, same_axes: bool) -> tuple[Figure, list[Axes]]:
    columns = min(count, 3)
    rows = -(-count // columns)
    figure = Figure(figsize=(max(4.5, 3.2 * columns), 2.4 * rows + 0.7), layout="constrained")
    grid = figure.subplots(
        rows, columns, squeeze=False, sharex=same_axes, sharey=same_axes
    ).flatten()
    for axes in grid[count:]:
        axes.set_axis_off()
    figure.suptitle(title, fontsize="medium")
    figure.supxlabel("weight", fontsize="medium")
    figure.supylabel("number of weights", fontsize="medium")
    return figure, list(grid[:count])


def _bars(axes: Axes, histogram: Histogram, title: str, label: str = "") -> None:
    color = "0.6" if label else "0.35"
    axes.bar(
        histogram.edges[:-1],
        histogram.counts,
        np.diff(histogram.edges),
        align="edge",
        color=color,
        label=label,
    )
    axes.set_title(
        f"{title}\n{histogram.zeros / histogram.weights:.1%} are zero", fontsize="medium"
    )
    axes.grid(alpha=0.3)
    axes.locator_params(axis="x", nbins=5)
