"""Maps of densities: how many weights each layer keeps."""

import re
from collections.abc import Iterable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# up to the last number that is followed by a name
PLACE_PATTERN = re.compile(r"(?:.*\.)?\d+(?=\.)")


def plot_density(sparsities: Mapping[str, float]) -> Figure:
    """Draw the density of each layer as a map: names within a block against blocks.

    Args:
        sparsities: Sparsity by layer name, in [0, 1].

    """
    blocks = _blocks(sparsities)
    columns = sorted(set(blocks.values()))
    labels = {name: name.removeprefix(_place(name)).removeprefix(".") for name in sparsities}
    rows = list(dict.fromkeys(labels.values()))
    grid = np.full((len(rows), len(columns)), np.nan)
    for name, sparsity in sparsities.items():
        grid[rows.index(labels[name]), columns.index(blocks[name])] = 100 * (1 - sparsity)
    figure = Figure(
        figsize=(2.5 + 0.55 * len(columns), 1.6 + 0.45 * len(rows)), layout="constrained"
    )
    axes = figure.add_subplot()
    shade(figure, axes, grid)
    axes.set_xticks(range(len(columns)), [".".join(map(str, block)) or "-" for block in columns])
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xlabel="block", title="density: weights kept (%)")
    return figure


def _blocks(names: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Return the numbers of the block of each layer, that of its stage first if there are stages.

    A layer outside of the blocks has none.
    """
    places = {name: _place(name) for name in names}
    stages = {
        outer
        for outer in places.values()
        if any(inner.startswith(f"{outer}.") for inner in places.values())
    }
    return {name: () if place in stages else _numbers(place) for name, place in places.items()}


def _place(name: str) -> str:
    """Return the part of a name that says in which block the layer is; empty outside."""
    found = PLACE_PATTERN.match(name)
    return found.group() if found else ""


def _numbers(place: str) -> tuple[int, ...]:
    return tuple(int(part) for part in place.split(".") if part.isdigit())


def shade(figure: Figure, axes: Axes, grid: np.ndarray) -> None:
    """Draw percentages, (rows, columns), as greys with their numbers; NaN stays empty."""
    image = axes.imshow(grid, cmap="Greys", vmin=0, vmax=100, aspect="auto")
    for (row, column), value in np.ndenumerate(grid):
        if not np.isnan(value):
            color = "white" if value > 55 else "black"
            text = f"{value:.0f}"
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize="small")
    figure.colorbar(image, ax=axes)
