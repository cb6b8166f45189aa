"""The folder of a run before the run has written anything."""

import shutil
from pathlib import Path

from vitprune.runs.atomic import remove_partial
from vitprune.runs.run_folder import RunFolder, new_run_folder
from vitprune.runs.write_errors import check_writable


class Reservation:
    """The folder of a new run, or of one that is resumed in its own folder.

    Args:
        root: Folder that holds `lightning_logs`.
        resumed: The run that is resumed; None for a new one.

    Attributes:
        folder: Folder of the run; that of a new run may change until it is created.

    """

    def __init__(self, root: Path, resumed: RunFolder | None) -> None:
        self.folder = resumed or new_run_folder(root)
        self._root = root
        self._is_new = resumed is None
        self._created = False

    def make(self) -> None:
        """Create the folder of a new run, with the next free number if this one is taken.

        In the folder of a resumed run, delete what was left half written.

        Raises:
            OSError: If the folder or a file in it may not be written.

        """
        if not self._is_new:
            for file in (self.folder.config, self.folder.last):
                check_writable(file)
                remove_partial(file.parent)
            if self.folder.metrics.exists():
                self.folder.metrics.open("a").close()
        while self._is_new and not self._created:
            try:
                self.folder.path.mkdir(parents=True)
            except FileExistsError:
                self.folder = new_run_folder(self._root)
            else:
                self._created = True

    def discard(self) -> None:
        """Delete a folder that was created here if no checkpoint was saved to it."""
        if self._created and not self.folder.checkpoints.exists():
            shutil.rmtree(self.folder.path, ignore_errors=True)
