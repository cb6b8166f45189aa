"""Accuracy against latency and size, for several models."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

LARGEST_BUBBLE = 900.0  # square points
FIRST_ROW = 17.0  # points of a number above its bubble
ROW_HEIGHT = 9.0
ROWS = 2


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

    Bubbles are numbered by latency, and dark if no other model is both faster and more accurate.

    Args:
        models: At least one model.

    """
    figure = Figure(figsize=(7, 4 + 0.2 * len(models)), layout="constrained")
    axes = figure.add_subplot()
    front = pareto_front(models)
    axes.step(
        [model.latency_ms for model in front],
        [100 * model.accuracy for model in front],
        where="post",
        color="0.5",
        linewidth=0.8,
        zorder=0,
    )
    largest = max(model.megabytes for model in models) or 1.0
    names = []
    for number, model in enumerate(sorted(models, key=lambda one: one.latency_ms), start=1):
        place = (model.latency_ms, 100 * model.accuracy)
        axes.scatter(
            *place,
            s=LARGEST_BUBBLE * model.megabytes / largest,
            color="0.25" if model in front else "0.7",
            alpha=0.6,
            linewidths=0,
        )
        # where bubbles overlap, numbers do not
        above = FIRST_ROW + (number - 1) % ROWS * ROW_HEIGHT
        axes.annotate(
            str(number),
            place,
            xytext=(0, above),
            textcoords="offset points",
            ha="center",
            fontsize="small",
        )
        names.append(f"{number}  {model.name}, {model.megabytes:.3g} MB")
    axes.margins(0.15, 0.3)  # numbers stay inside
    axes.set_xlim(left=0)
    axes.set(xlabel="latency of one image (ms)", ylabel="validation accuracy (%)")
    figure.suptitle("\n".join(names), x=0.02, ha="left", fontsize="small")
    return figure
