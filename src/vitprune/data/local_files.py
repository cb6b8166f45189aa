"""Local data sets of images or tables: the files of each split."""

import os
from collections import Counter
from pathlib import Path

from datasets.data_files import FILES_TO_IGNORE, DataFilesList
from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCard
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from vitprune.data.folder_files import Folders, files_by_folder, paths, suffix_of, with_suffix
from vitprune.data.image_folders import images_by_split
from vitprune.data.shards import missing_shards, refuse_damaged_shards
from vitprune.data.table_folders import (
    CONTAINERS,
    METADATA,
    TEXTS,
    metadata_by_split,
    tables_by_split,
)
from vitprune.errors import UsageError

UNREAD = (".avif", ".heic", ".heif", ".jxl")  # images that `datasets` does not read


def files_by_split(folder: Path, *, quiet: bool = False) -> dict[str, DataFilesList] | None:
    """Return the files of each split of a folder, None where `datasets` finds them itself.

    `datasets` looks for split names in the whole path: a class `bullet_train` would become training
    images. Without a known name (`Train`, `Val`) it reads all files as `train`.

    Args:
        folder: Class folders with images, images with `metadata` files, tables or archives.
        quiet: Do not report what was inferred.

    Raises:
        UsageError: If the folder holds neither images nor tables of images, a folder or file looks
            like a split and its name does not say which, or a shard is damaged.

    """
    found = {
        parts: [name for name in names if name not in FILES_TO_IGNORE]
        for parts, names in files_by_folder(folder).items()
    }
    images = with_suffix(found, ImageFolder.EXTENSIONS)
    metadata = {parts: [n for n in names if n in METADATA] for parts, names in found.items()}
    containers = with_suffix(found, CONTAINERS)
    if not _size(images) + _size(containers) and not _configured(folder):
        _refuse_other_files(found, folder)
    notes: list[str] = []
    if _size(images) <= _size(containers):
        refuse_damaged_shards(folder, containers)
        notes = missing_shards(folder, containers)
        tables = _usual(with_suffix(found, (*CONTAINERS, *TEXTS)))
        splits = None if _configured(folder) else tables_by_split(tables, str(folder))
    elif any(metadata.values()):
        both = {parts: images[parts] + metadata[parts] for parts in found}
        splits = None if _configured(folder) else metadata_by_split(both, str(folder))
    else:
        read = images_by_split(images, str(folder))
        splits = read.folders
        notes = [*read.notes, *_unread(found, folder)]
    listed = splits and {split: _listed(folder, files) for split, files in splits.items()}
    for note in [] if quiet else notes:
        rank_zero_info(note)
    return listed


def _refuse_other_files(found: Folders, folder: Path) -> None:
    """Refuse a folder in which nothing can contain images."""
    kinds = Counter(suffix_of(name) for names in found.values() for name in names)
    files = [f"{count} {kind or 'without suffix'}" for kind, count in kinds.most_common(5)]
    holds = f"its files are: {', '.join(files)}" if files else "it holds no files"
    raise UsageError(
        f"data.source {str(folder)!r} has no readable images; {holds}. Valid are images (PNG, "
        "JPEG, ...) in one folder per class, for example train/cat/1.jpg, images with a "
        "metadata.csv, and parquet files with a column of images."
    )


def _unread(found: Folders, folder: Path) -> list[str]:
    count = _size(with_suffix(found, UNREAD))
    if not count:
        return []
    return [
        f"Ignoring {count} images of {folder} in formats that are not read ({', '.join(UNREAD)}). "
        "Convert them to PNG or JPEG."
    ]


def _size(folders: Folders) -> int:
    return sum(map(len, folders.values()))


def _usual(tables: Folders) -> Folders:
    """Return the tables of the most frequent suffix; of equally many, parquet."""
    suffixes = Counter(suffix_of(name) for names in tables.values() for name in names)
    usual = max(suffixes, key=lambda suffix: (suffixes[suffix], suffix == ".parquet"), default="")
    return with_suffix(tables, {usual})


def _configured(folder: Path) -> bool:
    """Return whether the folder's card or YAML file lists its files."""
    if (folder / ".huggingface.yaml").exists():
        return True
    card = folder / "README.md"
    return card.is_file() and bool(
        MetadataConfigs.from_dataset_card_data(DatasetCard.load(card).data)
    )


def _listed(folder: Path, files: Folders) -> DataFilesList:
    listed = paths(Path(os.path.abspath(folder)), files)
    return DataFilesList(listed, [(str(os.stat(path).st_mtime),) for path in listed])
