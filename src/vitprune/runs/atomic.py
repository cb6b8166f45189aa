"""Files and folders that appear whole or not at all: write beside the target, then replace it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vitprune.errors import UsageError
from vitprune.runs.write_errors import naming, partial


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a path beside `target`; the file written there replaces `target` when the block ends.

    If the block raises, the new file is deleted and an existing `target` stays as it is.

    Raises:
        UsageError: If the target is a device, which must not be replaced.
        OSError: If the file cannot be written, as on a full disk; the error names `target`.

    """
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise UsageError(f"{target} is a device or a pipe. Use the path of a file.")
    with naming(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = partial(target)  # a file that a killed process left here is overwritten
        try:
            yield scratch
            scratch.replace(target)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise


@contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """Yield a folder beside `target` that replaces `target` when the block ends.

    The caller creates the folder. If the block raises, it is deleted and `target` stays as it is.

    Raises:
        OSError: If something in it cannot be written, as on a full disk; the error names `target`.

    """
    scratch = partial(target)
    shutil.rmtree(scratch, ignore_errors=True)
    with naming(target):
        try:
            yield scratch
            _replace_folder(target, scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _replace_folder(target: Path, new: Path) -> None:
    """Rename a complete folder to `target`; delete the old one only after that."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def write_text(target: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with replacing(target) as scratch:
        scratch.write_text(text)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file whole or not at all."""
    with replacing(target) as scratch:
        shutil.copy2(source, scratch)


def remove_partial(folder: Path) -> None:
    """Delete what processes that were killed while they wrote left in a folder."""
    for left in folder.glob(partial(Path("*")).name):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
