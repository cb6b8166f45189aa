"""Grids of axes with one legend, and the lines and markers that tell curves apart in greyscale."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "x", "P", "*")


def grid_of(
    count: int,
    columns: int,
    size: tuple[float, float],
    *,
    sharex: bool = False,
    sharey: bool = True,
) -> tuple[Figure, list[Axes]]:
    """Return a figure and its axes, row by row; what is left of the last row stays empty.

    Args:
        count: Number of axes.
        columns: Largest number of axes in a row.
        size: Width and height of one of them, in inches.
        sharex: Whether they share their horizontal axes.
        sharey: Whether they share their vertical axes.

    """
    columns = min(count, columns)
    rows = math.ceil(count / columns)
    width, height = size
    figure = Figure(
        figsize=(max(5.5, width * columns + 1), max(3.6, height * rows + 0.9)),
        layout="constrained",
    )
    axes = figure.subplots(rows, columns, squeeze=False, sharex=sharex, sharey=sharey).flatten()
    for unused in axes[count:]:
        unused.set_axis_off()
    return figure, list(axes[:count])


def add_legend(figure: Figure, grid: Sequence[Axes], columns: int) -> None:
    """Add one legend above all axes; a label that several axes use is listed once."""
    handles = {
        label: handle
        for axes in grid
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(),
        handles,
        loc="outside upper center",
        ncols=min(len(handles), columns),
        frameon=False,
        fontsize="small",
    )


def draw_dense(axes: Axes, accuracy: float, line: str = "-") -> None:
    """Draw the accuracy of the dense model, in [0, 1], as a reference line."""
    label = f"dense, {100 * accuracy:.1f} %"
    axes.axhline(100 * accuracy, color="0.6", linewidth=1, linestyle=line, label=label)
