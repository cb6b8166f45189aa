"""Errors of writing: the file, and the reason that the operating system gives."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from safetensors import SafetensorError

# a disk, a quota or the limit of a file's size is reached
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# a file or folder belongs to another user, or its disk is mounted read-only
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
# in the messages of torch and OpenVINO about a file that they cannot write
INCOMPLETE = ("inline_container", "iostream error")
LITTLE = 2**20  # bytes that are free where a file was just too large for the disk
KEPT = "nothing was written, the content from before is kept"


@contextmanager
def naming(target: Path, then: str = KEPT) -> Iterator[None]:
    """Name the target in the error if it cannot be written, for example on a full disk.

    Python does not name the file of a failed write, and libraries raise other errors.

    Args:
        target: File or folder that is written in this block.
        then: What remains there, as part of the message.

    Raises:
        OSError: With the path of the target.

    """
    try:
        yield
    except Exception as error:
        cause = _cause(error)
        number = _system_error(cause, target)
        if number is None and cause is not error:
            raise cause from None
        if number is None:
            raise
        raise OSError(number, f"{os.strerror(number)} ({then})", str(target)) from error


def partial(target: Path) -> Path:
    """Return the path that is written before it is renamed to `target`."""
    return target.with_name(f".{target.name}.partial")


def check_writable(target: Path) -> None:
    """Check that a file or folder can be written, before its content is computed.

    Raises:
        OSError: If not; the error names the folder in which it would be.

    """
    folder = next(path for path in target.absolute().parents if path.exists())
    try:
        TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from error


def _cause(error: Exception) -> BaseException:
    """Return what stopped torch from writing; torch itself reports only an incomplete file."""
    return error.__context__ if _is_incomplete(error) and error.__context__ else error


def _system_error(error: BaseException, target: Path) -> int | None:
    """Return the `errno` of a failed write of the target; None for any other error."""
    if isinstance(error, OSError):
        named = error.filename is not None and error.errno not in FULL
        return None if named and not _is_partial(error.filename, target) else error.errno
    if isinstance(error, SafetensorError):
        found = re.search(r"\(os error (\d+)\)", str(error))
        return int(found[1]) if found else None
    if not _is_incomplete(error):
        return None
    # they do not tell which
    return errno.ENOSPC if shutil.disk_usage(target.parent).free < LITTLE else errno.EIO


def _is_incomplete(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and any(text in str(error) for text in INCOMPLETE)


def _is_partial(filename: str | bytes, target: Path) -> bool:
    """Return whether a file is what is written before it is renamed to `target`, or in it."""
    return partial(target).name in Path(os.fsdecode(filename)).parts
