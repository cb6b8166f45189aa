"""Where an export may be written, and how it appears there."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vitprune.errors import UsageError
from vitprune.runs.atomic import replacing_folder
from vitprune.runs.run_folder import ExportFolder
from vitprune.runs.write_errors import check_writable


def check_target(path: str | Path) -> ExportFolder:
    """Return a folder that may be written: a new one, an empty one, or an export to replace.

    Raises:
        UsageError: If the folder holds anything else.
        OSError: If it may not be written.

    """
    folder = ExportFolder(Path(path).expanduser().resolve())
    if folder.path.exists() and not _may_be_replaced(folder):
        raise UsageError(
            f"{folder.path} holds something that is not an export. Choose a new or empty folder."
        )
    check_writable(folder.path)
    return folder


def _may_be_replaced(folder: ExportFolder) -> bool:
    """Return whether nothing but an export is lost if the folder is deleted."""
    return folder.path.is_dir() and (not any(folder.path.iterdir()) or _is_export(folder))


def _is_export(folder: ExportFolder) -> bool:
    """Return whether the folder has a model and the report of an export, not just any report."""
    return (
        folder.config.is_file()
        and folder.report.is_file()
        and b'"verification"' in folder.report.read_bytes()
    )


@contextmanager
def writing(target: ExportFolder) -> Iterator[ExportFolder]:
    """Yield a folder that replaces `target` when the block ends; if it raises, nothing changes."""
    with replacing_folder(target.path) as scratch:
        folder = ExportFolder(scratch)
        yield folder
        for file in scratch.glob("*.safetensors"):  # safetensors lets only the owner read them
            shutil.copymode(folder.config, file)
