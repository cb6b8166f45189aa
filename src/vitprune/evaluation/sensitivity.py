"""What pruning one layer, block or role costs, without retraining."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import yaml
from matplotlib.figure import Figure
from rich.table import Table
from torch import Tensor

from vitprune.errors import UsageError
from vitprune.evaluation.measure import DENSE, Measurement, Score
from vitprune.evaluation.tables import accuracies, deviation
from vitprune.figures.curves import Panels, plot_curves, plot_drop_map
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning import Granularity, Method
from vitprune.pruning.granularity.coupled import ATTENTION, MLP

BY = ("layer", "block", "role")
OUTSIDE = "outside of the blocks"
RESULT = "sensitivity.json"
MOST = 12  # groups in the table


def group_layers(
    layers: Sequence[Layer], by: str, granularity: Granularity
) -> dict[str, list[Layer]]:
    """Return the groups that are pruned one at a time: every layer, the layers of every block, or
    those of every role.

    Layers that the granularity prunes together, those of attention or of an MLP, count as one layer
    and as one role.
    """
    if by not in BY:
        raise UsageError(f"sensitivity goes by {', '.join(BY)}, not by {by!r}.")
    groups: dict[str, list[Layer]] = {}
    for grouping in granularity.groupings(layers):
        place = place_of(grouping.layers)
        alone = len(grouping.layers) == 1
        name = grouping.layers[0].name if alone else f"{place['block']} {place['role']}"
        groups.setdefault({"layer": name, **place}[by], []).extend(grouping.layers)
    return groups


def place_of(layers: Sequence[Layer]) -> dict[str, str]:
    """Return where layers that are pruned together are, in words: their `block`, and their `role` or branch."""
    block, roles = layers[0].block, {layer.role for layer in layers}
    branch = "attention" if roles <= set(ATTENTION) else "mlp" if roles <= set(MLP) else "all"
    return {
        "block": OUTSIDE if block is None else f"block {block}",
        "role": branch if len(roles) > 1 else layers[0].role,
    }


def plan(
    groups: Mapping[str, Sequence[Layer]],
    sparsities: Sequence[float],
    method: Method,
    seed: int,
    statistics: Mapping[str, Tensor] | None = None,
) -> dict[tuple[str, float], Measurement]:
    """Return what has to be measured, by group and sparsity, with what the criterion learned."""
    return {
        (name, sparsity): Measurement(
            f"{name} at {sparsity}", layers, sparsity, method, seed, statistics or {}
        )
        for name, layers in groups.items()
        for sparsity in sparsities
    }


def summarize(
    groups: Mapping[str, Sequence[Layer]],
    plan: Mapping[tuple[str, float], Measurement],
    scores: Mapping[str, Score],
    settings: dict[str, Any],
) -> dict[str, Any]:
    """Return what goes into `sensitivity.json`: by group and the sparsity asked for, accuracy, loss and sparsity reached."""
    scan: dict[str, dict[str, float]] = {name: {} for name in groups}
    loss: dict[str, dict[str, float]] = {name: {} for name in groups}
    reached: dict[str, dict[str, float]] = {name: {} for name in groups}
    for (name, sparsity), measurement in plan.items():
        score = scores[measurement.key]
        scan[name][str(sparsity)], loss[name][str(sparsity)] = score.accuracy, score.loss
        reached[name][str(sparsity)] = score.sparsity
    return {
        "metric": "accuracy",
        "dense": scores[DENSE].accuracy,
        "images": scores[DENSE].images,
        "criterion": settings["method"]["criterion"]["class"],
        "granularity": settings["method"]["granularity"]["class"],
        "by": settings["by"],
        "scan": scan,
        "reached": reached,
        "groups": {name: [layer.name for layer in layers] for name, layers in groups.items()},
        "places": {name: place_of(layers) for name, layers in groups.items()},
        "loss": {"dense": scores[DENSE].loss, "scan": loss},
        "settings": settings,
    }


def save(result: dict[str, Any], folder: Path) -> dict[str, Figure]:
    """Write `sensitivity.json`, `.csv` and `.yaml` and the figures into a folder; return the figures by name."""
    with (folder / "sensitivity.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ("group", "layers", "sparsity", "reached", "accuracy", "accuracy_lost", "loss")
        )
        for name, curve in result["scan"].items():
            for sparsity, accuracy in curve.items():
                loss, reached = (
                    result["loss"]["scan"][name][sparsity],
                    result["reached"][name][sparsity],
                )
                count = len(result["groups"][name])
                writer.writerow(
                    (name, count, sparsity, reached, accuracy, result["dense"] - accuracy, loss)
                )
    figures = draw(result)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=150)
    path = folder / RESULT
    allocation = {"class_path": "FromSensitivity", "init_args": {"path": str(path.resolve())}}
    (folder / "sensitivity.yaml").write_text(
        yaml.safe_dump({"pruning": {"allocation": allocation}})
    )
    path.write_text(
        json.dumps(result, indent=2) + "\n"
    )  # last: its presence says that all is there
    return figures


def draw(result: dict[str, Any]) -> dict[str, Figure]:
    """Return the figures of a scan: `drop_map`, and curves; of a scan by layer, curves by role and by block."""
    dense = result["dense"]
    if result["by"] != "layer":
        title = f"pruning one {result['by']}"
        figure = plot_curves({title: curves_of(result, reached=True)}, dense)
        return {"drop_map": plot_drop_map({title: curves_of(result)}, dense, ""), "curves": figure}
    return {
        "drop_map": plot_drop_map(in_panels(result, "role", curves_of(result)), dense, "block"),
        "by_role": plot_curves(in_panels(result, "role", curves_of(result, reached=True)), dense),
        "by_block": plot_curves(in_panels(result, "block", curves_of(result, reached=True)), dense),
    }


def most_sensitive(result: dict[str, Any]) -> Table:
    """Return a table of the groups that lose most, on average over the sparsities."""
    curves = curves_of(result)
    worst = sorted(
        curves, key=lambda name: mean(value for values in curves[name].values() for value in values)
    )[:MOST]
    caption = (
        f"{len(worst)} of {len(curves)}, those that lose most first; {result['images']} images"
    )
    caption += deviation(result["reached"].values())
    return accuracies(
        f"pruned alone, by {result['by']}",
        {name: curves[name] for name in worst},
        result["dense"],
        caption,
    )


def curves_of(result: dict[str, Any], reached: bool = False) -> dict[str, dict[float, list[float]]]:
    """Return the curve of each group, over the sparsities that were asked for or those that were reached."""
    return {
        name: {
            result["reached"][name][s] if reached else float(s): [accuracy]
            for s, accuracy in curve.items()
        }
        for name, curve in result["scan"].items()
    }


def in_panels(
    result: dict[str, Any], panel: str, curves: Mapping[str, Mapping[float, Sequence[float]]]
) -> Panels:
    """Sort the curves of a scan by layer into a panel for each role (or block), labelled by block (or role)."""
    label = {"role": "block", "block": "role"}[panel]
    panels: dict[str, dict[str, Mapping[float, Sequence[float]]]] = {}
    for name, curve in curves.items():
        place = result["places"][name]
        outside = place["block"] == OUTSIDE
        title = OUTSIDE if outside else place[panel]
        panels.setdefault(title, {})[place["role" if outside else label]] = curve
    return dict(sorted(panels.items(), key=lambda item: item[0] == OUTSIDE))


def check_sparsities(sparsities: Sequence[float]) -> list[float]:
    """Return sparsities in rising order, each once.

    Raises:
        UsageError: If there is none, or one is not in (0, 1).

    """
    if not sparsities or not all(0 < sparsity < 1 for sparsity in sparsities):
        raise UsageError(f"sparsities must lie between 0 and 1, not {list(sparsities)}.")
    return sorted(set(sparsities))
