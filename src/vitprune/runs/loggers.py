"""TensorBoard and CSV loggers in the folder of a run."""

from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from vitprune.runs.metrics import MetricsCSV
from vitprune.runs.run_folder import RunFolder
from vitprune.runs.write_errors import naming

LOGGED = "earlier log entries are kept"


class NamingTensorBoard(TensorBoardLogger):
    """TensorBoard logger that names its folder in errors of writing."""

    def log_metrics(self, *args: Any, **options: Any) -> None:
        """Log scalars."""
        with naming(Path(self.log_dir), LOGGED):
            super().log_metrics(*args, **options)

    def finalize(self, status: str) -> None:
        """Flush what is left; events are written by a thread, whose errors end up here."""
        with naming(Path(self.log_dir), LOGGED):
            super().finalize(status)

    def save(self) -> None:
        """Flush events and hyperparameters to the disk."""
        with naming(Path(self.log_dir), LOGGED):
            super().save()


def run_loggers(run: RunFolder) -> list[Logger]:
    """Return the loggers of a run whose `trainer.logger` is not set."""
    tensorboard = NamingTensorBoard(str(run.path), name="", version="", default_hp_metric=False)
    return [tensorboard, MetricsCSV(run)]


def in_run_folder(kind: type[Logger], arguments: dict[str, Any], run: RunFolder) -> Logger:
    """Return a logger that the user chose without a `save_dir`, in the folder of the run.

    The files of `CSVLogger` are in a folder of their own, a new one after each resume: it deletes
    earlier files.
    """
    place = {"name": "csv_logs"} if kind is CSVLogger else {"name": "", "version": ""}
    return kind(**{**arguments, "save_dir": str(run.path), **place})
