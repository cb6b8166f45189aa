"""TensorBoard and CSV loggers in the folder of a run."""

import shutil
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger

from vitprune.runs.metrics import MetricsCSV
from vitprune.runs.run_folder import LOGS, RunFolder
from vitprune.runs.write_errors import naming

LOGGED = "earlier log entries are kept"


class NamingTensorBoard(TensorBoardLogger):
    """TensorBoard logger that names its folder in errors of writing."""

    def log_metrics(self, *args: Any, **options: Any) -> None:
        """Log scalars."""
        with naming(Path(self.log_dir), LOGGED):
            super().log_metrics(*args, **options)

    def save(self) -> None:
        """Flush events and hyperparameters to the disk."""
        with naming(Path(self.log_dir), LOGGED):
            super().save()


class RunLoggers:
    """The loggers of a new run, or of one that is resumed in its own folder.

    Args:
        root: Folder that holds `lightning_logs`.
        resumed: The run that is resumed; None for a new one.

    """

    def __init__(self, root: Path, resumed: RunFolder | None) -> None:
        version = resumed.path.name if resumed else None
        self.tensorboard = NamingTensorBoard(
            root, name=LOGS, version=version, default_hp_metric=False
        )
        self.metrics = MetricsCSV(self.folder)
        self._is_new = resumed is None
        self._created = False

    @property
    def folder(self) -> RunFolder:
        """Folder of the run."""
        return RunFolder(Path(self.tensorboard.log_dir))

    def make_folder(self) -> None:
        """Create the folder of a new run, with the next free number if this one is taken."""
        while self._is_new and not self._created:
            try:
                self.folder.path.mkdir(parents=True)
            except FileExistsError:
                # the Trainer holds this logger already, so it cannot be replaced
                self.tensorboard._version = int(self.tensorboard.version) + 1  # noqa: SLF001
            else:
                self.metrics.folder = self.folder
                self._created = True

    def discard_folder(self) -> None:
        """Delete a folder that was created here if no checkpoint was saved to it."""
        if self._created and not self.folder.checkpoints.exists():
            shutil.rmtree(self.folder.path, ignore_errors=True)
