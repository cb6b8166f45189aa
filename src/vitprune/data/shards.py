"""Shards of a local data set that are missing or damaged."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from vitprune.data.folder_files import Folders, suffix_of
from vitprune.errors import UsageError

NUMBERED = re.compile(r"(.*-)(\d{5})-of-(\d{5})(\.\w+)")  # train-00000-of-00003.parquet
TAR_END = bytes(512)  # a tar file ends with blocks of zeros


def missing_shards(root: Path, shards: Folders) -> list[str]:
    """Return a log line for each group of shards that is incomplete, as after a broken download."""
    notes = []
    for parts, names in shards.items():
        groups: dict[tuple[str, str, str], set[int]] = {}
        for name in names:
            if match := NUMBERED.fullmatch(name):
                start, number, total, suffix = match.groups()
                groups.setdefault((start, total, suffix), set()).add(int(number))
        for (start, total, suffix), present in groups.items():
            if missing := sorted(set(range(int(total))) - present):
                first = root.joinpath(*parts, f"{start}{missing[0]:05}-of-{total}{suffix}")
                notes.append(f"{len(missing)} of {int(total)} shards are missing, first {first}.")
    return notes


def refuse_damaged_shards(root: Path, shards: Folders) -> None:
    """Refuse files whose end is missing: parquet files without a footer, tar files without an end.

    Of such a tar file only the first samples would be read.

    Raises:
        UsageError: With the name of the first one.

    """
    damaged: tuple[Path, str] | None = None
    for path in _paths(root, shards):
        if suffix_of(path.name) == ".parquet":
            try:
                pq.read_metadata(path)
            except pa.ArrowException as error:
                damaged = path, str(error).splitlines()[0].rstrip(".")
        elif suffix_of(path.name) == ".tar" and _last_bytes(path, len(TAR_END)) != TAR_END:
            damaged = path, "its end is missing"
        if damaged:
            raise UsageError(
                f"{damaged[0]} is damaged: {damaged[1]}. Copy or download it again, or remove it."
            )


def other_columns(root: Path, shards: Folders) -> str | None:
    """Return which parquet file has other columns than the first, None if all have the same."""
    first: list[str] | None = None
    for path in _paths(root, shards):
        if suffix_of(path.name) == ".parquet":
            names = pq.read_schema(path).names
            if first is not None and names != first:
                return f"{path} has the columns {names}, and the files before it {first}"
            first = names
    return None


def _paths(root: Path, shards: Folders) -> Iterator[Path]:
    for parts, names in sorted(shards.items()):
        yield from (root.joinpath(*parts, name) for name in sorted(names))


def _last_bytes(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        file.seek(-min(count, path.stat().st_size), os.SEEK_END)
        return file.read()
