"""TensorBoard and CSV in the folder of a run, and what becomes of that folder before the first step."""

import shutil
from pathlib import Path

from lightning.pytorch.loggers import TensorBoardLogger

from vitprune.runs.folder import LOGS
from vitprune.runs.metrics import MetricsCSV


class RunLoggers:
    """The loggers of a new run, or of one that goes on in its own folder.

    Args:
        root: Where the folders of runs are.
        continued: Folder of the run that goes on; None for a new one.

    """

    def __init__(self, root: Path, continued: Path | None) -> None:
        version = continued.name if continued else None
        self.tensorboard = TensorBoardLogger(
            root, name=LOGS, version=version, default_hp_metric=False
        )
        self.metrics = MetricsCSV(self.tensorboard.log_dir)
        self._is_new, self._made = continued is None, False

    def make_folder(self) -> None:
        """Make the folder of a new run, with the next number if one that was started at the same time has this one."""
        while self._is_new and not self._made:
            folder = Path(self.tensorboard.log_dir)
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                self.tensorboard._version = int(self.tensorboard.version) + 1
            else:
                self.metrics.path, self._made = folder / self.metrics.name, True

    def discard_folder(self) -> None:
        """Take the folder away again if it was made here and nothing has been saved to it."""
        folder = Path(self.tensorboard.log_dir)
        if self._made and not (folder / "checkpoints").exists():
            shutil.rmtree(folder, ignore_errors=True)
