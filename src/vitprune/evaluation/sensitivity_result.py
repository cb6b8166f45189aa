"""The result of a sensitivity scan: `sensitivity.json`, its table and its figures."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Literal

import yaml
from matplotlib.figure import Figure
from rich.table import Table

from vitprune.evaluation.grouping import OUTSIDE, By, Place
from vitprune.evaluation.settings import Settings
from vitprune.figures.curves import Curve, Curves, Panels, plot_curves
from vitprune.figures.drop_map import plot_drop_map
from vitprune.figures.saving import save_figure
from vitprune.figures.tables import accuracy_table, deviation
from vitprune.runs.atomic import replacing, write_text
from vitprune.runs.typed_json import read_json, write_json

RESULT = "sensitivity.json"
MOST = 12  # groups in the table
HEADER = ("group", "layers", "sparsity", "reached", "accuracy", "accuracy_lost", "loss")

BySparsity = dict[float, float]  # target sparsity -> value


@dataclass(frozen=True)
class Losses:
    """Mean cross-entropies.

    Attributes:
        dense: Loss of the dense model.
        scan: Loss by group and target sparsity.

    """

    dense: float
    scan: dict[str, BySparsity]


@dataclass(frozen=True)
class SensitivityResult:
    """Content of `sensitivity.json`.

    Attributes:
        metric: Name of the metric.
        dense: Accuracy of the dense model, in [0, 1].
        images: Number of validation images.
        criterion: Class name of the criterion.
        granularity: Class name of the granularity.
        by: What was pruned at a time.
        scan: Accuracy by group and target sparsity.
        reached: Reached sparsity by group and target sparsity.
        groups: Names of the layers of each group.
        places: Where each group is.
        loss: Loss of the same models.
        settings: Settings of the scan.

    """

    metric: str
    dense: float
    images: int
    criterion: str
    granularity: str
    by: By
    scan: dict[str, BySparsity]
    reached: dict[str, BySparsity]
    groups: dict[str, list[str]]
    places: dict[str, Place]
    loss: Losses
    settings: Settings

    @classmethod
    def read(cls, path: Path) -> "SensitivityResult":
        """Read a `sensitivity.json`.

        Raises:
            UsageError: If the file is missing, damaged or of another version.

        """
        return read_json(path, cls)

    def curves(self) -> Curves:
        """Return the curve of each group over the target sparsities."""
        return {
            name: {target: [accuracy] for target, accuracy in curve.items()}
            for name, curve in self.scan.items()
        }

    def reached_curves(self) -> Curves:
        """Return the curve of each group over the reached sparsities."""
        return {
            name: {self.reached[name][target]: [accuracy] for target, accuracy in curve.items()}
            for name, curve in self.scan.items()
        }

    def most_sensitive(self) -> Table:
        """Return a table of the groups with the lowest mean accuracy over the sparsities."""
        curves = self.curves()
        worst = sorted(curves, key=lambda name: mean(self.scan[name].values()))[:MOST]
        return accuracy_table(
            f"pruned {self.by}",
            {name: curves[name] for name in worst},
            self.dense,
            f"the {len(worst)} most sensitive of {len(curves)}, the most sensitive first; "
            f"{self.images} images{deviation(self.reached.values())}",
        )

    def draw(self) -> dict[str, Figure]:
        """Return the figures by name: `drop_map` and `curves`, or `by_role` and `by_block`.

        The last two are drawn if single layers were pruned.
        """
        curves = self.curves()
        reached = self.reached_curves()
        if self.by != "layer":
            title = f"pruning one {self.by}"
            return {
                "drop_map": plot_drop_map({title: curves}, self.dense, ""),
                "curves": plot_curves({title: reached}, self.dense),
            }
        return {
            "drop_map": plot_drop_map(self._in_panels(curves, "role"), self.dense, "block"),
            "by_role": plot_curves(self._in_panels(reached, "role"), self.dense),
            "by_block": plot_curves(self._in_panels(reached, "block"), self.dense),
        }

    def _in_panels(self, curves: Curves, panel: Literal["role", "block"]) -> Panels:
        """Sort curves of layers into a panel for each role, or for each block.

        Layers outside of the blocks are in a separate panel, the last one.
        """
        panels: dict[str, dict[str, Curve]] = {}
        for name, curve in curves.items():
            place = self.places[name]
            if place.is_outside:
                title, label = OUTSIDE, place.role
            elif panel == "role":
                title, label = place.role, place.block
            else:
                title, label = place.block, place.role
            panels.setdefault(title, {})[label] = curve
        return dict(sorted(panels.items(), key=lambda item: item[0] == OUTSIDE))

    def save(self, folder: Path) -> Mapping[str, Figure]:
        """Save the result to a folder; return the figures by name.

        `sensitivity.json` is written last: a folder with it is complete.
        """
        path = folder / RESULT
        figures = self.draw()
        for name, figure in figures.items():
            save_figure(figure, folder / f"{name}.png")
        self._write_csv(path.with_suffix(".csv"))
        allocation = {"class_path": "FromSensitivity", "init_args": {"path": str(path.resolve())}}
        configuration = yaml.safe_dump({"pruning": {"allocation": allocation}})
        write_text(path.with_suffix(".yaml"), configuration)
        write_json(path, self)
        return figures

    def _write_csv(self, path: Path) -> None:
        with replacing(path) as scratch, scratch.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(HEADER)
            for name, curve in self.scan.items():
                for target, accuracy in curve.items():
                    writer.writerow(
                        (
                            name,
                            len(self.groups[name]),
                            target,
                            self.reached[name][target],
                            accuracy,
                            self.dense - accuracy,
                            self.loss.scan[name][target],
                        )
                    )
