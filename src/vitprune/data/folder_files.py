"""The files in a folder and its subfolders."""

import glob
import os
from collections.abc import Container
from pathlib import Path

from vitprune.errors import UsageError

Folders = dict[tuple[str, ...], list[str]]


def files_by_folder(root: Path) -> Folders:
    """Return the file names of each folder in `root`, by the parts of its path.

    Symbolic links to folders are followed. Hidden folders, `__MACOSX` and the like are ignored, as
    by `datasets`.

    Raises:
        UsageError: If the target of a link does not exist.

    """
    found: Folders = {}
    _walk(str(root), (), frozenset(), found)
    return found


def _walk(path: str, parts: tuple[str, ...], above: frozenset[str], found: Folders) -> None:
    real = os.path.realpath(path)
    if real in above:  # a link to a folder that contains it
        return
    files: list[str] = []
    found[parts] = files
    with os.scandir(path) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith((".", "__")) and entry.is_dir():
                continue
            if entry.is_dir():
                _walk(entry.path, (*parts, entry.name), above | {real}, found)
            elif entry.is_file() and not entry.name.startswith("."):
                files.append(entry.name)
            elif entry.is_symlink() and not os.path.exists(entry.path):
                raise UsageError(
                    f"{entry.path} is a link to {os.readlink(entry.path)!r}, which does not exist. "
                    "Remove the link, or put its target there."
                )


def suffix_of(name: str) -> str:
    """Return the suffix of a file's name in lower case, empty if it has none."""
    return os.path.splitext(name)[1].lower()


def with_suffix(folders: Folders, suffixes: Container[str]) -> Folders:
    """Return the files that end in one of the suffixes; every folder stays."""
    return {
        parts: [name for name in names if suffix_of(name) in suffixes]
        for parts, names in folders.items()
    }


def paths(root: Path, folders: Folders) -> list[str]:
    """Return the paths of files in `root`, in the order of `datasets`.

    Raises:
        UsageError: If a name is not valid UTF-8, so that no table can hold it.

    """
    found = sorted(
        os.path.join(root, *parts, name) for parts, names in folders.items() for name in names
    )
    for path in found:
        try:
            path.encode()
        except UnicodeEncodeError:
            raise UsageError(
                f"the path {os.fsencode(path)!r} is not valid UTF-8. Rename the file or folder."
            ) from None
    return found


def globbed(root: Path, folders: Folders) -> bool:
    """Return whether the patterns of `datasets` find these files.

    The patterns miss files in linked folders, and all files if the path of `root` has brackets or
    stars.
    """
    real = os.path.realpath(root)
    linked = any(
        names and os.path.realpath(os.path.join(real, *parts)) != os.path.join(real, *parts)
        for parts, names in folders.items()
    )
    return not linked and not glob.has_magic(real)
