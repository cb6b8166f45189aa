"""Folders of tables and archives, and of images with a `metadata` file: the files of each split."""

import os
import re
from pathlib import Path

from datasets.data_files import SPLIT_KEYWORDS

from vitprune.data.folder_files import Folders, globbed
from vitprune.data.split_names import looks_like_split, split_named
from vitprune.errors import UsageError

CONTAINERS = (".parquet", ".arrow", ".tar", ".zip")
TEXTS = (".csv", ".json", ".jsonl")  # beside images, these describe them
METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
DATASETS_WORDS = {
    str(split): re.compile(rf"(^|[-._ 0-9])({'|'.join(words)})([-._ 0-9]|$)")
    for split, words in SPLIT_KEYWORDS.items()
}  # how `datasets` finds the splits of folders and files


def tables_by_split(folders: Folders, source: str) -> dict[str, Folders] | None:
    """Find the splits of a folder of tables or archives.

    Args:
        folders: Names of the tables of each folder, by the parts of its path.
        source: What error messages call the folder.

    Returns:
        The tables of each split, None if `datasets` finds the same ones.

    Raises:
        UsageError: If the name of a file looks like a split and does not say which.

    """
    splits: dict[str, Folders] = {}
    for parts, names in folders.items():
        for name in names:
            if split := _split_of([*parts, os.path.splitext(name)[0]], source):
                splits.setdefault(split, {}).setdefault(parts, []).append(name)
    splits = splits or {"train": folders}
    return None if _found_by_datasets(splits, folders, source) else splits


def metadata_by_split(folders: Folders, source: str) -> dict[str, Folders] | None:
    """Find the splits of a folder of images whose labels are in a `metadata` file.

    Args:
        folders: Names of the files of each folder, by the parts of its path.
        source: What error messages call the folder.

    Returns:
        The files of each split, None if `datasets` finds the same ones.

    Raises:
        UsageError: If a folder looks like a split and has no file of its own.

    """
    homes = {parts[:1] for parts, names in folders.items() if set(names) & set(METADATA)}
    tops = {parts[0] for parts, names in folders.items() if parts and names}
    splits: dict[str, Folders] = {}
    for top in sorted(filter(looks_like_split, tops)):
        split = split_named(top)
        if split is None or split in splits or (top,) not in homes:
            raise UsageError(
                f"the folder {top!r} of {source!r} looks like a split, but its name does not say "
                "which, or it has no metadata file of its own. Call the folders of splits 'train', "
                "'validation' and 'test', and put into each a metadata.csv with its images."
            )
        splits[split] = {parts: names for parts, names in folders.items() if parts[:1] == (top,)}
    splits = splits or {"train": folders}
    return None if _found_by_datasets(splits, folders, source) else splits


def _split_of(names: list[str], source: str) -> str | None:
    """Return the split that the path of a table names, None if it names none."""
    found = {split_named(name) for name in names if looks_like_split(name)}
    if len(found) > 1 or found == {None}:
        raise UsageError(
            f"the path {os.path.join(*names)!r} of {source!r} looks like a split, but does not say "
            "which. Begin the names of files with 'train', 'validation' or 'test'."
        )
    return found.pop() if found else None


def _found_by_datasets(splits: dict[str, Folders], folders: Folders, source: str) -> bool:
    """Return whether `datasets` finds the same splits by itself: only these, or only `train`."""
    named = {
        (parts, name): _split_of_datasets(parts, name)
        for parts, names in folders.items()
        for name in names
    }
    found = {
        (parts, name): split
        for split, files in splits.items()
        for parts, names in files.items()
        for name in names
    }
    if not any(named.values()):
        named = dict.fromkeys(named, "train")
    same = found == {file: split for file, split in named.items() if split}
    return same and globbed(Path(source), folders)


def _split_of_datasets(parts: tuple[str, ...], name: str) -> str | None:
    for names in (parts, (name,)):
        for split, word in DATASETS_WORDS.items():
            if any(map(word.search, names)):
                return split
    return None
