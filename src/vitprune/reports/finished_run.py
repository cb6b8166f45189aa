"""A finished run as it is read from its folder."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vitprune.errors import UsageError
from vitprune.runs.report import RunReport
from vitprune.runs.run_config import RunConfig
from vitprune.runs.run_folder import RunFolder


@dataclass(frozen=True)
class FinishedRun:
    """A run with an export.

    Attributes:
        folder: Folder of the run.
        config: Configuration that repeats the run.
        report: Report of the export.

    """

    folder: RunFolder
    config: RunConfig
    report: RunReport

    @classmethod
    def read(cls, folder: RunFolder) -> "FinishedRun":
        """Read a run.

        Raises:
            UsageError: If a file is missing, damaged or of another version; the message names it.

        """
        if missing := missing_files(folder):
            raise UsageError(f"{folder.path} is not a finished run: it has no {missing[0]}.")
        return cls(folder, RunConfig.read(folder.config), RunReport.read(folder.export.report))


def missing_files(folder: RunFolder, further: Iterable[Path] = ()) -> list[Path]:
    """Return the files that a finished run has and this folder lacks, relative to the folder.

    Args:
        folder: Folder of the run.
        further: Paths of further files that are needed.

    """
    needed = (folder.export.report, folder.config, *further)
    return [path.relative_to(folder.path) for path in needed if not path.is_file()]
