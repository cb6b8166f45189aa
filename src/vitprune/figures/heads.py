"""How much of each attention head is left."""

from collections.abc import Iterable

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from vitprune.figures.plots import shade
from vitprune.model.anatomy.layers import Layer

INPUT_ROLES = ("query", "key", "value")


@torch.no_grad()
def head_densities(layers: Iterable[Layer]) -> dict[int, list[float]]:
    """Return the share of weights that are not zero in each head, by block: rows of q, k and v, columns of the output."""
    kept: dict[int, list[Tensor]] = {}
    for layer in layers:
        if layer.block is None or not layer.heads:
            continue
        if layer.role in INPUT_ROLES:
            kept.setdefault(layer.block, []).append((layer.weight != 0).view(layer.heads, -1))
        elif layer.role == "attn_out":
            columns = (layer.weight != 0).view(len(layer.weight), layer.heads, -1).transpose(0, 1)
            kept.setdefault(layer.block, []).append(columns.flatten(1))
    return {
        block: torch.cat(parts, dim=1).float().mean(dim=1).tolist()
        for block, parts in sorted(kept.items())
    }


def plot_heads(densities: dict[int, list[float]]) -> Figure:
    """Draw the density of each head as a map, heads by blocks."""
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
