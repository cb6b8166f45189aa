"""A map of how much accuracy each sparsity costs."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitprune.figures.curves import Curves, Panels
from vitprune.figures.panels import grid_of


def plot_drop_map(panels: Panels, dense: float, ylabel: str) -> Figure:
    """Draw the drop in accuracy, in points, as maps: a row for each curve, a column per sparsity.

    Args:
        panels: Curves by panel.
        dense: Accuracy of the dense model, in [0, 1].
        ylabel: Label of the rows.

    """
    sparsities = sorted({s for panel in panels.values() for curve in panel.values() for s in curve})
    most_rows = max(len(panel) for panel in panels.values())
    figure, grid = grid_of(
        len(panels),
        4 if len(panels) > 9 else 3,
        (max(2.2, 1.6 + 0.36 * len(sparsities)), 0.9 + 0.26 * most_rows),
        sharey=False,
    )
    drops = {title: _drops(panel, sparsities, dense) for title, panel in panels.items()}
    top = max(1.0, *(float(np.nanmax(drop)) for drop in drops.values()))
    for axes, (title, panel) in zip(grid, panels.items(), strict=True):
        image = axes.imshow(drops[title], cmap="Greys", vmin=0, vmax=top, aspect="auto")
        axes.set_xticks(range(len(sparsities)), [f"{100 * s:.3g}" for s in sparsities])
        axes.set_yticks(range(len(panel)), panel)
        axes.tick_params(labelsize="small")
        axes.set_title(title, fontsize="medium")
        _write_numbers(axes, drops[title], top)
    figure.supxlabel("sparsity (%)", fontsize="medium")
    figure.supylabel(ylabel, fontsize="medium")
    figure.colorbar(image, ax=figure.axes, label="accuracy drop (points)", fraction=0.03)
    return figure


def _drops(panel: Curves, sparsities: Sequence[float], dense: float) -> np.ndarray:
    """Return the drops of a panel, (curves, sparsities); NaN where a curve has no such sparsity."""
    return np.array(
        [
            [100 * (dense - np.mean(curve.get(sparsity, [np.nan]))) for sparsity in sparsities]
            for curve in panel.values()
        ]
    )


def _write_numbers(axes: Axes, drops: np.ndarray, top: float) -> None:
    for (row, column), drop in np.ndenumerate(drops):
        axes.text(
            column,
            row,
            f"{drop:z.1f}",
            ha="center",
            va="center",
            color="white" if drop > 0.55 * top else "black",
            fontsize="x-small",
        )
