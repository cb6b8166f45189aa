"""How the weights of a layer are distributed before and after pruning, the zeros apart so that they do not hide the rest."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
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
    return Histogram(edges, np.histogram(values, edges)[0], weight.numel() - int(torch.count_nonzero(weight)))


def save(layers: Mapping[str, Mapping[str, Histogram]], folder: Path) -> dict[str, Figure]:
    """Write `histograms.csv` and a figure for each layer into a folder; return the figures by layer.

    Args:
        layers: Histograms by layer and state.
        folder: Where to.

    """
    with (folder / RESULT).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("layer", "state", "low", "high", "weights"))
        for layer, states in layers.items():
            for state, histogram in states.items():
                writer.writerow((layer, state, 0.0, 0.0, histogram.zeros))
                bins = zip(histogram.edges, histogram.edges[1:], histogram.counts, strict=False)
                writer.writerows((layer, state, *map(float, edges), int(number)) for *edges, number in bins)
    figures = {layer: plot_histograms(layer, states) for layer, states in layers.items()}
    for layer, figure in figures.items():
        figure.savefig(folder / f"{layer}.png", dpi=150)
    return figures


def plot_histograms(layer: str, states: Mapping[str, Histogram], same_axes: bool = True) -> Figure:
    """Draw the weights of a layer that are not zero, a panel for each state, with its share of zeros in words.

    Args:
        layer: Title.
        states: What to draw, a panel for each.
        same_axes: Whether all panels have the same axes.

    """
    columns = min(len(states), 3)
    rows = -(-len(states) // columns)
    figure = Figure(figsize=(max(4.5, 3.2 * columns), 2.4 * rows + 0.7), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=same_axes, sharey=same_axes).flatten()
    for axes, (state, histogram) in zip(grid, states.items(), strict=False):
        axes.bar(histogram.edges[:-1], histogram.counts, np.diff(histogram.edges), align="edge", color="0.35")
        axes.set_title(f"{state}\n{histogram.zeros / histogram.weights:.1%} are zero", fontsize="medium")
        axes.grid(alpha=0.3)
        axes.locator_params(axis="x", nbins=5)
    for axes in grid[len(states) :]:
        axes.set_axis_off()
    figure.suptitle(f"{layer}: weights that are not zero", fontsize="medium")
    figure.supxlabel("weight", fontsize="medium")
    figure.supylabel("number of weights", fontsize="medium")
    return figure
