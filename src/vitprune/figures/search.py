"""The figure of a search for exchange rates."""

from collections.abc import Sequence
from itertools import accumulate

from matplotlib.figure import Figure

from vitprune.figures.panels import add_legend, grid_of
from vitprune.runs.trials import Trial


def plot_search(trials: Sequence[Trial]) -> Figure:
    """Draw the loss of each trial, in their order and over each of the rates that differ.

    Args:
        trials: The trials, at least one. The first one is that of `Isomorphic`.

    """
    losses = [trial.rank for trial in trials]
    varied = [name for name in trials[0].rates if len({each.rates[name] for each in trials}) > 1]
    figure, (order, *others) = grid_of(1 + len(varied), 3, (2.8, 2.4))
    order.plot(range(1, len(trials) + 1), losses, "o", markersize=3, color="0.6", label="trial")
    best = list(accumulate(losses, min))
    order.plot(range(1, len(trials) + 1), best, color="black", label="best so far")
    order.set_xlabel("trial", fontsize="medium")
    lowest = losses.index(min(losses))
    for axes, name in zip(others, varied, strict=True):
        values = [trial.rates[name] for trial in trials]
        axes.plot(values, losses, "o", markersize=3, color="0.6")
        axes.plot(values[0], losses[0], "s", color="black", fillstyle="none", label="Isomorphic")
        axes.plot(values[lowest], losses[lowest], "D", color="black", label="best")
        if min(values) > 0:
            axes.set_xscale("log")
        axes.set_xlabel(name, fontsize="medium")
    figure.supylabel("loss on held-out images", fontsize="medium")
    add_legend(figure, [order, *others], columns=4)
    return figure
