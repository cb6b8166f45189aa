"""Every logged scalar as one line of a CSV file, which a resumed run goes on writing."""

import contextlib
import csv
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

HEADER = ("step", "metric", "value")


class MetricsCSV(Logger):
    """Append `step, metric, value` to `metrics.csv` in the run's folder.

    A run that goes on from a checkpoint repeats the lines since then, with the same values.

    Args:
        folder: The run's folder.

    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.path = Path(folder) / "metrics.csv"

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.path.name

    @property
    def version(self) -> str:
        """Name of the run's folder."""
        return self.path.parent.name

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append the scalars."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.writer(file)
            if fresh:
                writer.writerow(HEADER)
            writer.writerows((step, name, float(value)) for name, value in metrics.items())

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: `config.yaml` has them."""


def read_metrics(folder: str | Path) -> dict[str, dict[int, float]]:
    """Read `metrics.csv` of a run as {metric: {step: value}}; the last value of a step counts.

    A line that a power loss tore is left out; a run without the file has no curves.
    """
    curves: dict[str, dict[int, float]] = {}
    path = Path(folder) / "metrics.csv"
    if not path.exists():
        return curves
    with path.open(newline="") as file:
        for row in csv.reader(file):
            with contextlib.suppress(ValueError):
                step, name, value = row
                curves.setdefault(name, {})[int(step)] = float(value)
    return {name: curve for name, curve in curves.items() if curve}
