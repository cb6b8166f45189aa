"""Image folders: the files of each split."""

import glob
from pathlib import Path

from PIL import Image

from vitprune.data.split_names import SPLIT_NAMES, find_split

DATA_FILES = {".parquet", ".arrow", ".tar", ".zip", ".csv", ".json", ".jsonl", ".yaml"}


def files_by_split(folder: Path) -> dict[str, str] | None:
    """Return a glob pattern per split of a folder of class folders, None for other folders.

    `datasets` looks for the names of splits in whole paths, so a class `bullet_train` would be
    training images. Here a split is a folder at the top level that contains folders; without one,
    all images are `train`.
    """
    suffixes = {path.suffix.lower() for path in folder.rglob("*")}
    if suffixes & DATA_FILES or not suffixes & set(Image.registered_extensions()):
        return None
    tops = {top.name for top in folder.iterdir() if top.is_dir()}
    found = {split: name for split in SPLIT_NAMES if (name := find_split(tops, split))}
    if not any(inner.is_dir() for name in found.values() for inner in (folder / name).iterdir()):
        return {"train": "**"}  # a class may be called `test`
    return {split: f"{glob.escape(name)}/**" for split, name in found.items()}
