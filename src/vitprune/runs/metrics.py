"""`metrics.csv`: every logged scalar as one line, which a resumed run continues."""

import contextlib
import csv
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from vitprune.runs.run_folder import RunFolder

HEADER = ("step", "metric", "value")


class MetricsCSV(Logger):
    """Append `step, metric, value` to `metrics.csv` in the folder of a run.

    A resumed run repeats the lines since its checkpoint, with the same values.

    Args:
        folder: Folder of the run.

    """

    def __init__(self, folder: RunFolder) -> None:
        super().__init__()
        self.folder = folder

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.folder.metrics.name

    @property
    def version(self) -> str:
        """Name of the folder of the run."""
        return self.folder.path.name

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append the scalars."""
        path = self.folder.metrics
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if is_new:
                writer.writerow(HEADER)
            writer.writerows((step, name, float(value)) for name, value in metrics.items())

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: `config.yaml` holds the hyperparameters."""


def read_metrics(run: RunFolder) -> dict[str, dict[int, float]]:
    """Read the metrics of a run as {metric: {step: value}}; the last value of a step counts.

    An incomplete line is skipped. A run without the file has no metrics.
    """
    curves: dict[str, dict[int, float]] = {}
    if not run.metrics.exists():
        return curves
    with run.metrics.open(newline="", errors="replace") as file:
        for row in csv.reader(file):
            with contextlib.suppress(ValueError):
                step, name, value = row
                curves.setdefault(name, {})[int(step)] = float(value)
    return {name: curve for name, curve in curves.items() if curve}
