"""A map of how many weights each attention head keeps."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from vitprune.figures.density import shade


def plot_heads(densities: Mapping[int, Sequence[float]]) -> Figure:
    """Draw the density of each head as a map, heads by blocks.

    Args:
        densities: Densities of the heads of each block, in [0, 1].

    """
    heads = max(map(len, densities.values()))
    grid = np.full((heads, len(densities)), np.nan)
    for column, values in enumerate(densities.values()):
        grid[: len(values), column] = [100 * value for value in values]
    figure = Figure(figsize=(2.5 + 0.55 * len(densities), 1.6 + 0.36 * heads), layout="constrained")
    axes = figure.add_subplot()
    shade(figure, axes, grid)
    axes.set_xticks(range(len(densities)), [str(block) for block in densities])
    axes.set_yticks(range(heads))
    axes.set(xlabel="block", ylabel="head", title="density of heads: weights kept (%)")
    return figure
