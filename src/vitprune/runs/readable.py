"""Files that exist and cannot be read as they are."""

from pathlib import Path

from vitprune.errors import UsageError

LFS_POINTER = b"version https://git-lfs"


def check_readable(path: Path) -> None:
    """Check a file before a library reads it whose errors would not name the cause.

    Raises:
        UsageError: If it may not be read, or is only a pointer to the file.

    """
    try:
        with path.open("rb") as file:
            start = file.read(len(LFS_POINTER))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    if start == LFS_POINTER:
        raise UsageError(
            f"{path} is a pointer of Git LFS, not the file itself. Fetch it with `git lfs pull`."
        )
