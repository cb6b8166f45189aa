"""Local data sets of images or tables: the files of each split."""

import os
from collections import Counter
from pathlib import Path

from datasets.data_files import FILES_TO_IGNORE, DataFilesList
from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCard
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from vitprune.data.folder_files import Folders, files_by_folder, paths, with_suffix
from vitprune.data.image_folders import images_by_split
from vitprune.data.table_folders import (
    CONTAINERS,
    METADATA,
    TEXTS,
    metadata_by_split,
    tables_by_split,
)

UNREAD = (".avif", ".heic", ".heif", ".jxl")  # images that `datasets` does not read


def files_by_split(folder: Path, *, quiet: bool = False) -> dict[str, DataFilesList] | None:
    """Return the files of each split of a folder, None where `datasets` finds them itself.

    `datasets` looks for split names in the whole path: a class `bullet_train` would become training
    images. Without a known name (`Train`, `Val`) it reads all files as `train`.

    Args:
        folder: Class folders with images, images with `metadata` files, tables or archives.
        quiet: Do not report what was inferred.

    Raises:
        UsageError: If a folder or file looks like a split and its name does not say which.

    """
    found = {
        parts: [name for name in names if name not in FILES_TO_IGNORE]
        for parts, names in files_by_folder(folder).items()
    }
    images = with_suffix(found, ImageFolder.EXTENSIONS)
    metadata = {parts: [n for n in names if n in METADATA] for parts, names in found.items()}
    notes: list[str] = []
    if _size(images) <= _size(with_suffix(found, CONTAINERS)):
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
    suffixes = Counter(
        os.path.splitext(name)[1].lower() for names in tables.values() for name in names
    )
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
