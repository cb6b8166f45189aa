"""Folders of tables and archives, and of images with a `metadata` file: the files of each split."""

import os
import re
from pathlib import Path

from datasets.data_files import SPLIT_KEYWORDS

from vitprune.data.folder_files import Folders, globbed
from vitprune.data.split_names import looks_like_split, split_named
from vitprune.errors import UsageError

CONTAINERS = (".parquet", ".arrow", ".tar", ".zip")
TEXTS = (".csv", ".json", ".jsonl")  # beside images, such files hold their labels
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
        The tables of each split; None if `datasets` finds the same splits.

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
        The files of each split; None if `datasets` finds the same splits.

    Raises:
        UsageError: If a folder looks like a split and lacks a metadata file.

    """
    homes = {parts for parts, names in folders.items() if set(names) & set(METADATA)}
    splits: dict[str, Folders] = {}
    unnamed: Folders = {}
    for parts, names in folders.items():
        depth = next((d for d in range(len(parts), -1, -1) if parts[:d] in homes), 0)
        split = _split_of([*parts[:depth]], source)
        if names and split is None and (like := [*filter(looks_like_split, parts)]):
            raise UsageError(
                f"the folder {like[0]!r} of {source!r} looks like a split, and has no metadata "
                "file of its own. Put into the folder of each split a metadata.csv with its images."
            )
        (splits.setdefault(split, {}) if split else unnamed)[parts] = names
    if not splits:
        _refuse_splits_of_names(unnamed, source)
        splits = {"train": unnamed}
    return None if _found_by_datasets(splits, folders, source) else splits


def _refuse_splits_of_names(folders: Folders, source: str) -> None:
    """Refuse images whose file names distribute all of them over several splits."""
    images = [name for names in folders.values() for name in names if name not in METADATA]
    named = {split_named(os.path.splitext(name)[0]) for name in images}
    if len(named) > 1 and None not in named:
        raise UsageError(
            f"the names of the images of {source!r} are those of several splits, for example "
            f"{images[0]!r}. Put each split into a folder with its metadata.csv."
        )


def _split_of(names: list[str], source: str) -> str | None:
    """Return the split in the path of a table; None if the path contains none."""
    found = {split_named(name) for name in names if looks_like_split(name)}
    if len(found) > 1 or found == {None}:
        raise UsageError(
            f"the path {os.path.join(*names)!r} of {source!r} looks like a split, but does not say "
            "which. Name one split in it: 'train', 'validation' or 'test'."
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
    """Return the split to which `datasets` assigns a file; several are joined in one string."""
    for names in (parts, (name,)):
        found = [split for split, word in DATASETS_WORDS.items() if any(map(word.search, names))]
        if found:
            return " and ".join(found)
    return None
