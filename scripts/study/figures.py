"""The study's figures: accuracy by row, and accuracy over sparsity."""

import statistics
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

from matplotlib.figure import Figure

from scripts.study.results import Results
from scripts.study.rows.row import Row

MARKERS = "osD^v"
SHADES = ("0.0", "0.45", "0.25", "0.6")


def draw_rows(results: Results, rows: Sequence[Row], path: Path) -> None:
    """Draw accuracies: a line of the figure for each row, a marker for each sparsity.

    With several seeds the marker is their mean, and a bar reaches from the lowest to the highest.
    """
    names = [row.name for row in rows]
    width = 4.5 + 0.075 * max(map(len, names))  # beside the names
    figure = Figure(figsize=(width, 0.9 + 0.4 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for sparsity, marker, shade in zip(results.sparsities(rows), cycle(MARKERS), cycle(SHADES)):
        axes.plot([], [], marker, color=shade, label=f"{sparsity:.0%} sparse")
        for y, row in enumerate(rows):
            values = [outcome.accuracy for outcome in results.of_row(row, sparsity)]
            if values:
                axes.plot(statistics.mean(values), y, marker, color=shade)
                axes.hlines(y, min(values), max(values), color=shade)
    axes.set(xlabel="accuracy (%)", yticks=range(len(rows)), yticklabels=names)
    axes.invert_yaxis()
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=5, frameon=False)
    save(figure, path)


def draw_curves(results: Results, rows: Sequence[Row], path: Path) -> None:
    """Draw the accuracy of each row over the sparsities at which it has results.

    With several seeds it is their mean, and a bar reaches from the lowest to the highest.
    """
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for row, marker in zip(rows, cycle(MARKERS)):
        sparsities = results.sparsities([row])
        values = [
            [outcome.accuracy for outcome in results.of_row(row, sparsity)]
            for sparsity in sparsities
        ]
        x = [100 * sparsity for sparsity in sparsities]
        means = [statistics.mean(seeds) for seeds in values]
        (line,) = axes.plot(x, means, marker=marker, label=row.name)
        lowest = [min(seeds) for seeds in values]
        highest = [max(seeds) for seeds in values]
        axes.vlines(x, lowest, highest, color=line.get_color())
    axes.set(xlabel="sparsity (%)", ylabel="accuracy (%)")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", frameon=False)
    save(figure, path)


def draw_losses(losses: dict[str, list[float]], interval: int, path: Path) -> None:
    """Draw the training losses of rows, each point the mean of `interval` steps."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, means in losses.items():
        axes.plot([interval * (i + 0.5) for i in range(len(means))], means, label=name)
    axes.set(xlabel="optimizer step", ylabel="training loss")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a figure, and its folder if there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
