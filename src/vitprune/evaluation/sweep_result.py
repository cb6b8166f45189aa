"""The result of a sweep: `sweep.json`, its table and its figures."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from rich.table import Table

from vitprune.evaluation.settings import SweepSettings
from vitprune.figures.curves import Curves, plot_curves
from vitprune.figures.saving import save_figure
from vitprune.figures.tables import accuracy_table, deviation
from vitprune.runs.atomic import replacing
from vitprune.runs.typed_json import read_json, write_json

RESULT = "sweep.json"
HEADER = ("method", "sparsity", "reached", "seed", "accuracy", "loss")


@dataclass(frozen=True)
class MethodResult:
    """The result of one method, by target sparsity.

    Attributes:
        reached: Reached sparsity.
        accuracy: Accuracies in [0, 1], one for each seed.
        loss: Mean cross-entropies, one for each seed.

    """

    reached: dict[float, float]
    accuracy: dict[float, list[float]]
    loss: dict[float, list[float]]


@dataclass(frozen=True)
class SweepResult:
    """Content of `sweep.json`.

    Attributes:
        metric: Name of the metric.
        dense: Accuracy of the dense model, in [0, 1].
        dense_loss: Its mean cross-entropy.
        images: Number of validation images.
        methods: Results by method.
        settings: Settings of the sweep.

    """

    metric: str
    dense: float
    dense_loss: float
    images: int
    methods: dict[str, MethodResult]
    settings: SweepSettings

    @classmethod
    def read(cls, path: Path) -> "SweepResult":
        """Read a `sweep.json`.

        Raises:
            UsageError: If the file is missing, damaged or of another version.

        """
        return read_json(path, cls)

    def curves(self) -> Curves:
        """Return the curve of each method over the target sparsities."""
        return {name: method.accuracy for name, method in self.methods.items()}

    def reached_curves(self) -> Curves:
        """Return the curve of each method over the reached sparsities."""
        return {
            name: {method.reached[target]: values for target, values in method.accuracy.items()}
            for name, method in self.methods.items()
        }

    def table(self) -> Table:
        """Return a table of the methods."""
        remark = deviation(method.reached for method in self.methods.values())
        caption = f"{self.images} images, without fine-tuning{remark}"
        return accuracy_table("method", self.curves(), self.dense, caption)

    def draw(self) -> dict[str, Figure]:
        """Return the figures by name: `sweep` with all methods, and one for each method."""
        curves = self.reached_curves()
        together = plot_curves({"one-shot, without fine-tuning": curves}, self.dense)
        return {"sweep": together} | {
            name: plot_curves({name: {name: curve}}, self.dense) for name, curve in curves.items()
        }

    def save(self, folder: Path) -> Mapping[str, Figure]:
        """Save the result to a folder; return the figures by name.

        `sweep.json` is written last: a folder with it is complete.
        """
        figures = self.draw()
        for name, figure in figures.items():
            save_figure(figure, folder / f"{name}.png")
        self._write_csv((folder / RESULT).with_suffix(".csv"))
        write_json(folder / RESULT, self)
        return figures

    def _write_csv(self, path: Path) -> None:
        with replacing(path) as scratch, scratch.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(HEADER)
            for name, method in self.methods.items():
                for target, accuracies in method.accuracy.items():
                    results = zip(
                        self.settings.seeds, accuracies, method.loss[target], strict=False
                    )
                    reached = method.reached[target]
                    writer.writerows((name, target, reached, *result) for result in results)
