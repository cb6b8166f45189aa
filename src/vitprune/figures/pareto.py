"""Accuracy against latency and size, for several models."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

LARGEST_BUBBLE = 900.0  # square points
PLACES = ((0, 12), (0, -18))  # of names, above and below in turn, in points


@dataclass(frozen=True)
class Tradeoff:
    """What a model costs and achieves.

    Attributes:
        name: Name of the model.
        latency_ms: Time of a batch of one, in milliseconds.
        accuracy: In [0, 1].
        megabytes: Size on disk.

    """

    name: str
    latency_ms: float
    accuracy: float
    megabytes: float


def pareto_front(models: Sequence[Tradeoff]) -> list[Tradeoff]:
    """Return the models for which no other one is both faster and more accurate, fastest first."""
    front: list[Tradeoff] = []
    for model in sorted(models, key=lambda one: (one.latency_ms, -one.accuracy)):
        if not front or model.accuracy > front[-1].accuracy:
            front.append(model)
    return front


def plot_pareto(models: Sequence[Tradeoff]) -> Figure:
    """Draw accuracy against latency; the area of a bubble is the size on disk.

    Args:
        models: At least one model.

    """
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    front = pareto_front(models)
    axes.plot(
        [model.latency_ms for model in front],
        [100 * model.accuracy for model in front],
        color="0.25",
        linewidth=0.8,
        zorder=1,
    )
    largest = max(model.megabytes for model in models) or 1.0
    for number, model in enumerate(sorted(models, key=lambda one: one.latency_ms)):
        place = (model.latency_ms, 100 * model.accuracy)
        axes.scatter(
            *place,
            s=LARGEST_BUBBLE * model.megabytes / largest,
            color="0.25" if model in front else "0.75",
            alpha=0.6,
            linewidths=0,
        )
        axes.annotate(
            f"{model.name}, {model.megabytes:.3g} MB",
            place,
            xytext=PLACES[number % len(PLACES)],
            textcoords="offset points",
            ha="center",
            fontsize="small",
        )
    axes.margins(0.2)
    axes.set(xlabel="latency of one image (ms)", ylabel="validation accuracy (%)")
    return figure
