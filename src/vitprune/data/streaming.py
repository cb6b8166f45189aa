"""Splits that are read while training, without a download of the whole."""

import itertools
from dataclasses import dataclass

import datasets
import fsspec
import pyarrow.parquet as pq
from datasets import ClassLabel, Dataset, Features

from vitprune.data.columns import Columns, normalise_columns
from vitprune.data.opening import open_source, open_with
from vitprune.data.split_names import SPLIT_NAMES, find_split
from vitprune.errors import UsageError

ROWS_IN_MEMORY = 1024


@dataclass(frozen=True)
class Streaming:
    """Read the source while training, without a download of the whole.

    Args:
        shuffle_buffer: Images that a worker shuffles among themselves, undecoded in memory.

    Raises:
        UsageError: If the buffer is empty.

    """

    shuffle_buffer: int = 1000

    def __post_init__(self) -> None:
        if self.shuffle_buffer < 1:
            raise UsageError(
                f"data.streaming.shuffle_buffer must be at least 1, not {self.shuffle_buffer}."
            )


@dataclass(frozen=True)
class StreamedSplit:
    """A split that is read in its order.

    Attributes:
        rows: Rows with `image` (undecoded) and `label`, in shards.
        features: Types of the columns; `label` is a `ClassLabel`.
        images: Number of rows.

    """

    rows: datasets.IterableDataset
    features: Features
    images: int

    def __len__(self) -> int:
        return self.images

    def first_rows(self) -> Dataset:
        """Return the first rows as a data set in memory, enough for calibration images."""
        rows = list(itertools.islice(self.rows, ROWS_IN_MEMORY))
        return Dataset.from_list(rows, features=self.features)


def load_streams(
    source: str, columns: Columns, max_images: dict[str, int], subset: str | None = None
) -> dict[str, StreamedSplit]:
    """Open a source without downloading it; see `load_source`.

    Args:
        source: Local folder or hub name of parquet files or webdataset tars.
        columns: Names of the columns and classes.
        max_images: Number of images by split; required if the source does not state it.
        subset: Configuration of a data set that has several.

    Raises:
        UsageError: If the labels have no names, or the number of images is unknown.

    """
    raw = open_source(source, subset, streaming=True)
    found = {name: split for name in SPLIT_NAMES if (split := find_split(raw, name))}
    if not {"train", "validation"} <= set(found):
        raise UsageError(
            f"streaming needs a train and a validation split, and {source!r} has {sorted(raw)}. "
            "Set data.streaming to null, which can split off validation images."
        )
    streams = {}
    for name, split in found.items():
        rows = normalise_columns(raw[split], source, columns)
        images = max_images.get(name) or _count(source, subset, split)
        if images is None:
            raise UsageError(
                f"the number of images of the {name} split of {source!r} is unknown. Set "
                f"data.max_images {{{name}: N}}."
            )
        label = _class_label(rows.features["label"], source, columns)
        features = Features({"image": rows.features["image"], "label": label})
        streams[name] = StreamedSplit(rows, features, images)
    return streams


def _class_label(feature: object, source: str, columns: Columns) -> ClassLabel:
    if isinstance(feature, ClassLabel):
        return feature
    if not columns.class_names:
        raise UsageError(
            f"the labels of {source!r} have no names, and a stream cannot be searched for them. "
            "Set data.columns.class_names."
        )
    return ClassLabel(names=columns.class_names)


def _count(source: str, subset: str | None, split: str) -> int | None:
    """Return the number of rows that the card or the parquet footers state, None if neither."""
    builder = open_with(datasets.load_dataset_builder, source, subset, quiet=True)
    if builder.info.splits and split in builder.info.splits:
        return builder.info.splits[split].num_examples
    files = (builder.config.data_files or {}).get(split, [])
    if not files or not all(str(file).endswith(".parquet") for file in files):
        return None
    total = 0
    for path in files:
        with fsspec.open(str(path), "rb") as file:
            total += pq.ParquetFile(file).metadata.num_rows
    return total
