"""Errors of writing: the file, and the reason that the operating system gives."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

# a disk, a quota or the limit of a file's size is reached
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
INCOMPLETE = "inline_container"  # in the message of torch about a file that it cannot write
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
        number = _system_error(cause)
        if number is None and cause is not error:
            raise cause from None
        if number is None:
            raise
        raise OSError(number, f"{os.strerror(number)} ({then})", str(target)) from error


def _cause(error: Exception) -> BaseException:
    """Return what stopped torch from writing; torch itself reports only an incomplete file."""
    incomplete = isinstance(error, RuntimeError) and INCOMPLETE in str(error)
    return error.__context__ if incomplete and error.__context__ else error


def _system_error(error: BaseException) -> int | None:
    """Return the `errno` of a failed write; None for any other error."""
    if isinstance(error, OSError):
        return error.errno if error.filename is None or error.errno in FULL else None
    if isinstance(error, SafetensorError):
        found = re.search(r"\(os error (\d+)\)", str(error))
        return int(found[1]) if found else None
    incomplete = isinstance(error, RuntimeError) and INCOMPLETE in str(error)
    return errno.EIO if incomplete else None  # torch does not tell which
