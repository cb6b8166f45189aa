"""`metrics.csv`: every logged scalar as one line, which a resumed run continues."""

import contextlib
import csv
import math
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from vitprune.runs.run_folder import RunFolder
from vitprune.runs.typed_json import damaged
from vitprune.runs.write_errors import naming

HEADER = ("step", "metric", "value")
STOPPED = "earlier lines are kept; a resume rewrites those after its checkpoint"


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
        with naming(path, STOPPED), path.open("a", newline="") as file:
            writer = csv.writer(file)
            if is_new:
                writer.writerow(HEADER)
            writer.writerows((step, name, float(value)) for name, value in metrics.items())

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: `config.yaml` holds the hyperparameters."""


def read_metrics(run: RunFolder) -> dict[str, dict[int, float]]:
    """Read the metrics of a run as {metric: {step: value}}; the last value of a step counts.

    A line that is incomplete or without a finite number is skipped. A run without the file has no
    metrics.

    Raises:
        UsageError: If the file is not a CSV file.

    """
    curves: dict[str, dict[int, float]] = {}
    if not run.metrics.exists():
        return curves
    try:
        with run.metrics.open(newline="", errors="replace") as file:
            for row in csv.reader(file):
                with contextlib.suppress(ValueError):
                    step, name, value = row
                    if math.isfinite(float(value)):
                        curves.setdefault(name, {})[int(step)] = float(value)
    except csv.Error as error:
        raise damaged(run.metrics, str(error)) from error
    return curves
