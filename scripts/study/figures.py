"""The study's figures: accuracies by row, and over the sparsity."""

import statistics
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

from matplotlib.figure import Figure

from scripts.study.results import Results


def draw(results: Results, rows: Sequence[str], path: Path) -> None:
    """Draw accuracies, a line of the figure for each row and a marker for each sparsity at which it
    was scored.

    With several seeds a marker is their mean, and a bar goes from the lowest to the highest.
    """
    width = 4.5 + 0.075 * max(map(len, rows))  # beside their names
    figure = Figure(figsize=(width, 0.9 + 0.4 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for sparsity, marker, shade in zip(
        results.sparsities(rows), cycle("osD^v"), cycle(("0.0", "0.45", "0.25", "0.6"))
    ):
        axes.plot([], [], marker, color=shade, label=f"{sparsity:.0%} sparse")
        for y, row in enumerate(rows):
            values = [outcome.accuracy for outcome in results.of_row(row, sparsity)]
            if values:
                axes.plot(statistics.mean(values), y, marker, color=shade)
                axes.hlines(y, min(values), max(values), color=shade)
    axes.set(xlabel="accuracy (%)", yticks=range(len(rows)), yticklabels=rows)
    axes.invert_yaxis()
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=5, frameon=False)
    save(figure, path)


def draw_curves(results: Results, rows: Sequence[str], path: Path) -> None:
    """Draw the accuracy of each row over the sparsities at which it was scored.

    With several seeds it is their mean, and a bar goes from the lowest to the highest.
    """
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for row, marker in zip(rows, cycle("osD^v")):
        sparsities = results.sparsities([row])
        values = [
            [outcome.accuracy for outcome in results.of_row(row, sparsity)]
            for sparsity in sparsities
        ]
        x = [100 * sparsity for sparsity in sparsities]
        (line,) = axes.plot(
            x, [statistics.mean(seeds) for seeds in values], marker=marker, label=row
        )
        axes.vlines(
            x,
            [min(seeds) for seeds in values],
            [max(seeds) for seeds in values],
            color=line.get_color(),
        )
    axes.set(xlabel="weights that are zero (%)", ylabel="accuracy (%)")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
