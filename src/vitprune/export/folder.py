"""The folder of an export: it appears whole or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vitprune.errors import UsageError


def check_target(folder: Path) -> Path:
    """Return the absolute path of a folder that may be written: new, empty, or an export that may
    be replaced.

    Raises:
        UsageError: If it holds anything else.

    """
    folder = folder.expanduser().resolve()
    if folder.exists() and (
        not folder.is_dir() or (any(folder.iterdir()) and not _is_export(folder))
    ):
        raise UsageError(
            f"{folder} holds something that is not an export; give a new or an empty folder."
        )
    return folder


def _is_export(folder: Path) -> bool:
    """Tell an export from another folder with a `report.json`: it goes for good when it is replaced."""
    report = folder / "report.json"
    return (
        (folder / "config.json").is_file()
        and report.is_file()
        and b'"verification"' in report.read_bytes()
    )


@contextmanager
def written_at_once(folder: Path) -> Iterator[Path]:
    """Give a folder to write to that becomes `folder` when all went well, and goes away otherwise."""
    scratch = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        yield scratch
        for file in scratch.glob(
            "*.safetensors"
        ):  # which are written so that only their owner may read them
            shutil.copymode(scratch / "config.json", file)
        replace_folder(folder, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def replace_folder(folder: Path, new: Path) -> None:
    """Put a finished folder where an older one may be; the older one goes only when the new one is there."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
