"""The figure of a benchmark."""

from collections.abc import Sequence

from matplotlib.figure import Figure


def plot_speedups(
    names: Sequence[str], theoretical: Sequence[float], measured: Sequence[float]
) -> Figure:
    """Draw speed-ups relative to the first model, by FLOPs and as measured.

    Args:
        names: Names of the models.
        theoretical: Ratio of FLOPs of each model.
        measured: Ratio of throughputs of each model.

    """
    figure = Figure(figsize=(7, 1.2 + 0.6 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    rows = range(len(names))
    for shift, values, color, label in (
        (-0.2, theoretical, "0.75", "by FLOPs"),
        (0.2, measured, "0.25", "measured"),
    ):
        bars = axes.barh(
            [row + shift for row in rows], values, height=0.36, color=color, label=label
        )
        axes.bar_label(
            bars, labels=[f"{value:.2f}" for value in values], padding=3, fontsize="small"
        )
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(rows, names)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set(xlabel=f"throughput relative to {names[0]}")
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize="small")
    return figure
