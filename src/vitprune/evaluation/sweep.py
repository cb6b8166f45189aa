"""Accuracy against sparsity of several methods, pruned at once, without fine-tuning."""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.table import Table
from torch import Tensor

from vitprune.errors import UsageError
from vitprune.evaluation.measure import DENSE, Measurement, Score
from vitprune.evaluation.tables import accuracies, deviation
from vitprune.figures.curves import plot_curves
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning import Element, Magnitude, Method, Random, Row

RESULT = "sweep.json"


def usual_methods() -> dict[str, Method]:
    """Return the four local methods of `torch.nn.utils.prune` under their names there."""
    return {
        "random_unstructured": Method(Random(), Element()),
        "l1_unstructured": Method(Magnitude(p=1), Element()),
        "random_structured": Method(Random(), Row()),
        "l1_structured": Method(Magnitude(p=1), Row()),
    }


def choose(methods: Mapping[str, Method] | Sequence[str] | None) -> Mapping[str, Method]:
    """Return methods as they are given, or those of the usual ones that are named; all of these if
    none is.

    Raises:
        UsageError: If a name is not known.

    """
    if isinstance(methods, Mapping):
        return methods
    usual = usual_methods()
    for name in methods or ():
        if name not in usual:
            raise UsageError(f"there is no method {name!r}; the usual ones are {', '.join(usual)}.")
    return {name: usual[name] for name in methods or usual}


def check_names(methods: Mapping[str, Method]) -> None:
    """Raise `UsageError` if a method is called what no file can be called."""
    for name in methods:
        if not re.fullmatch(r"[\w.+-]+", name):
            raise UsageError(
                f"the name of a method becomes that of a file, so {name!r} should be letters, "
                "digits, _ + - ."
            )


def plan(
    methods: Mapping[str, Method],
    sparsities: Sequence[float],
    layers: Mapping[str, Sequence[Layer]],
    seeds: Sequence[int],
    statistics: Mapping[str, Mapping[str, Tensor]],
) -> dict[tuple[str, float, int], Measurement]:
    """Return what has to be measured, by method, sparsity and seed; one seed will do for what does
    not depend on it.

    Args:
        methods: By name.
        sparsities: In (0, 1).
        layers: What each prunes.
        seeds: For scores that are random.
        statistics: What the criterion of each learned.

    """
    return {
        (name, sparsity, seed): Measurement(
            f"{name} at {sparsity}, seed {seed}",
            layers[name],
            sparsity,
            method,
            seed,
            statistics[name],
        )
        for name, method in methods.items()
        for sparsity in sparsities
        for seed in (seeds if method.criterion.is_random else seeds[:1])
    }


def summarize(
    plan: Mapping[tuple[str, float, int], Measurement],
    scores: Mapping[str, Score],
    settings: dict[str, Any],
) -> dict[str, Any]:
    """Return what goes into `sweep.json`, by method and the sparsity asked for: what was reached, and each seed's scores."""
    methods: dict[str, dict[str, dict[str, Any]]] = {}
    for (name, sparsity, _), measurement in plan.items():
        curves, score = (
            methods.setdefault(name, {"reached": {}, "accuracy": {}, "loss": {}}),
            scores[measurement.key],
        )
        curves["reached"][str(sparsity)] = score.sparsity
        curves["accuracy"].setdefault(str(sparsity), []).append(score.accuracy)
        curves["loss"].setdefault(str(sparsity), []).append(score.loss)
    dense = scores[DENSE]
    return {
        "metric": "accuracy",
        "dense": dense.accuracy,
        "dense_loss": dense.loss,
        "images": dense.images,
        "methods": methods,
        "settings": settings,
    }


def save(result: dict[str, Any], folder: Path) -> dict[str, Figure]:
    """Write `sweep.json`, `sweep.csv` and the figures into a folder; return the figures by name."""
    with (folder / "sweep.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("method", "sparsity", "reached", "seed", "accuracy", "loss"))
        for name, curves in result["methods"].items():
            for sparsity, accuracies in curves["accuracy"].items():
                rows = zip(
                    result["settings"]["seeds"], accuracies, curves["loss"][sparsity], strict=False
                )
                writer.writerows(
                    (name, sparsity, curves["reached"][sparsity], *row) for row in rows
                )
    figures = draw(result)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=150)
    (folder / RESULT).write_text(
        json.dumps(result, indent=2) + "\n"
    )  # last: its presence says that all is there
    return figures


def draw(result: dict[str, Any]) -> dict[str, Figure]:
    """Return the figures of a sweep: `sweep` with all methods, and one for each under its name."""
    curves = curves_of(result, reached=True)
    together = plot_curves({"one-shot, without fine-tuning": curves}, result["dense"])
    return {"sweep": together} | {
        name: plot_curves({name: {name: c}}, result["dense"]) for name, c in curves.items()
    }


def table(result: dict[str, Any]) -> Table:
    """Return a table of the methods."""
    caption = f"{result['images']} images, without fine-tuning"
    caption += deviation(method["reached"] for method in result["methods"].values())
    return accuracies("method", curves_of(result), result["dense"], caption)


def curves_of(result: dict[str, Any], reached: bool = False) -> dict[str, dict[float, list[float]]]:
    """Return the accuracies of each method, one for each seed, by the sparsity that was asked for or that was reached."""
    return {
        name: {
            method["reached"][s] if reached else float(s): values
            for s, values in method["accuracy"].items()
        }
        for name, method in result["methods"].items()
    }
