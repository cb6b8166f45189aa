"""Training data too large to download: a split that is read as it comes, and how many images it has."""

import itertools
from dataclasses import dataclass

import datasets
import fsspec
import pyarrow.parquet as pq
from datasets import ClassLabel, Dataset, Features

from vitprune.data.opening import open_source, open_with
from vitprune.data.sources import normalise_columns
from vitprune.data.split_names import SPLIT_NAMES, find_split
from vitprune.errors import UsageError

ROWS_IN_MEMORY = 1024


@dataclass
class StreamedSplit:
    """A split that is read as it comes.

    Attributes:
        rows: Rows with `image` (undecoded) and `label`, in shards.
        features: Their types; `label` is a `ClassLabel`.
        images: How many there are.

    """

    rows: datasets.IterableDataset
    features: Features
    images: int

    def __len__(self) -> int:
        return self.images


def load_streams(
    source: str,
    image_column: str | None,
    label_column: str | None,
    label_names: list[str] | None,
    max_images: dict[str, int],
    subset: str | None = None,
) -> dict[str, StreamedSplit]:
    """Open a source without downloading it; see `load_source`.

    Raises:
        UsageError: If labels have no names, or nothing tells the number of images.

    """
    raw = open_source(source, subset, streaming=True)
    found = {name: split for name in SPLIT_NAMES if (split := find_split(raw, name))}
    if not {"train", "validation"} <= set(found):
        raise UsageError(
            f"streaming needs a train and a validation split, and {source!r} has {sorted(raw)}."
        )
    streams = {}
    for name, split in found.items():
        rows = normalise_columns(raw[split], source, image_column, label_column)
        images = max_images.get(name) or _count(source, subset, split)
        if images is None:
            raise UsageError(
                f"nothing tells how many images {name} of {source!r} has: set data.max_images "
                f"{{{name}: N}}."
            )
        label = rows.features["label"]
        if not isinstance(label, ClassLabel):
            if not label_names:
                raise UsageError(
                    f"the labels of {source!r} have no names, and a stream is not searched for "
                    "them: set data.label_names."
                )
            label = ClassLabel(names=label_names)
        streams[name] = StreamedSplit(
            rows, Features({"image": rows.features["image"], "label": label}), images
        )
    return streams


def _count(source: str, subset: str | None, split: str) -> int | None:
    """Return the number of rows as the data set's card gives it, or the footers of its parquet files; None if neither does."""
    builder = open_with(datasets.load_dataset_builder, source, subset)
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


def first_rows(split: StreamedSplit) -> Dataset:
    """Return the first rows of a stream as a data set in memory, enough to draw a calibration sample from."""
    return Dataset.from_list(
        list(itertools.islice(split.rows, ROWS_IN_MEMORY)), features=split.features
    )
