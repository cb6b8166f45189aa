"""Figures. All are readable in grey; each function returns a figure and leaves it to the caller where it goes."""

from collections.abc import Iterable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitprune.model.anatomy.layers import BLOCK_PATTERN, ROLES, role_of

Curve = Mapping[int, float]  # optimizer step -> value


def plot_training(
    accuracy: Curve,
    sparsity: Curve,
    after_pruning: Curve,
    steps_per_epoch: float,
    dense: float | None,
) -> Figure:
    """Draw validation accuracy and sparsity over the epochs of a run.

    Args:
        accuracy: Validation accuracy, in [0, 1], by step.
        sparsity: Sparsity of the prunable weights, in [0, 1], by step.
        after_pruning: Accuracy just after each round, by step.
        steps_per_epoch: To translate steps into epochs.
        dense: Accuracy before the first round, drawn as a reference line.

    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    if dense is not None:
        axes.axhline(100 * dense, color="0.6", linewidth=1, label=f"dense, {100 * dense:.1f} %")
    axes.plot(
        *_line(accuracy, steps_per_epoch),
        color="black",
        marker="o",
        markersize=4,
        label="after fine-tuning",
    )
    if after_pruning:
        axes.plot(
            *_line(after_pruning, steps_per_epoch),
            color="0.35",
            linestyle="",
            marker="v",
            label="just after pruning",
        )
    axes.set(xlabel="epoch", ylabel="validation accuracy (%)")
    axes.grid(alpha=0.3)
    if sparsity:
        right = axes.twinx()
        right.step(
            *_line(sparsity, steps_per_epoch),
            where="post",
            color="0.35",
            linestyle="--",
            label="sparsity (right axis)",
        )
        right.set(ylabel="sparsity of the prunable weights (%)", ylim=(0, 100))
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize="small")
    return figure


def _line(curve: Curve, steps_per_epoch: float) -> tuple[list[float], list[float]]:
    steps = sorted(curve)
    return [step / steps_per_epoch for step in steps], [100 * curve[step] for step in steps]


def plot_density(sparsities: Mapping[str, float]) -> Figure:
    """Draw the density of each layer as a map, roles by blocks.

    Args:
        sparsities: Sparsity by layer name, in [0, 1].

    """
    blocks = _blocks(sparsities)
    columns = sorted(set(blocks.values()))
    rows = sorted({role_of(name) for name in sparsities}, key=_role_order)
    grid = np.full((len(rows), len(columns)), np.nan)
    for name, sparsity in sparsities.items():
        grid[rows.index(role_of(name)), columns.index(blocks[name])] = 100 * (1 - sparsity)
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
    """Return the number of the block that each layer is in, behind that of its stage if it has one; nothing outside of them."""
    places = {name: place.group() if (place := BLOCK_PATTERN.match(name)) else "" for name in names}
    stages = {
        outer
        for outer in places.values()
        if any(inner.startswith(f"{outer}.") for inner in places.values())
    }
    return {
        name: ()
        if place in stages
        else tuple(int(part) for part in place.split(".") if part.isdigit())
        for name, place in places.items()
    }


def _role_order(role: str) -> int:
    return ROLES.index(role)


def shade(figure: Figure, axes: Axes, grid: np.ndarray) -> None:
    """Draw percentages, (rows, columns), as greys with their numbers; NaN stays empty."""
    image = axes.imshow(grid, cmap="Greys", vmin=0, vmax=100, aspect="auto")
    for (row, column), value in np.ndenumerate(grid):
        if not np.isnan(value):
            color = "white" if value > 55 else "black"
            axes.text(
                column, row, f"{value:.0f}", ha="center", va="center", color=color, fontsize="small"
            )
    figure.colorbar(image, ax=axes)
