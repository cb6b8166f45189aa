"""Training data too large to download: shards are read while training goes on, and a resume goes on where the reading was.

Each worker of each rank reads shards of its own, block by block, and serves a block in an order that is a function of (seed,
rank, worker, block). What it needs to go on exactly is small and travels with each batch: where the block begins, and how much
of it is used. A stream has no end: an epoch is as many batches as its images fill, and the next one goes on behind them.
"""

import copy
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import datasets
import fsspec
import pyarrow.parquet as pq
import torch
from datasets import ClassLabel, Dataset, Features
from datasets.distributed import split_dataset_by_node
from torch.utils.data import DataLoader, get_worker_info
from torch.utils.data import IterableDataset as TorchIterableDataset

from vitprune.data.loading import BadImage, ImageSamples, collate
from vitprune.data.opening import open_source, open_with
from vitprune.data.sources import SPLIT_NAMES, find_split, normalise_columns
from vitprune.errors import UsageError
from vitprune.seeding import seed_for

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
        raise UsageError(f"streaming needs a train and a validation split, and {source!r} has {sorted(raw)}.")
    streams = {}
    for name, split in found.items():
        rows = normalise_columns(raw[split], source, image_column, label_column)
        images = max_images.get(name) or _count(source, subset, split)
        if images is None:
            raise UsageError(f"nothing tells how many images {name} of {source!r} has: set data.max_images {{{name}: N}}.")
        label = rows.features["label"]
        if not isinstance(label, ClassLabel):
            if not label_names:
                raise UsageError(
                    f"the labels of {source!r} have no names, and a stream is not searched for them: set data.label_names."
                )
            label = ClassLabel(names=label_names)
        streams[name] = StreamedSplit(rows, Features({"image": rows.features["image"], "label": label}), images)
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
    return Dataset.from_list(list(itertools.islice(split.rows, ROWS_IN_MEMORY)), features=split.features)


class ImageStream(TorchIterableDataset):
    """Batches of one rank's share of a stream.

    Args:
        split: What is read.
        samples: Decodes and transforms.
        batch_size: Images in a batch.
        rank: This process, in [0, world_size).
        world_size: Number of processes.
        buffer: Images in a block, shuffled and repeated without end; None for one pass in the given order.

    Attributes:
        used: Batches used so far.
        workers: How many processes read them.
        states: Where each worker goes on after them.

    """

    def __init__(
        self, split: StreamedSplit, samples: ImageSamples, batch_size: int, rank: int, world_size: int, buffer: int | None
    ) -> None:
        self.rows = split_dataset_by_node(split.rows, rank, world_size) if buffer else split.rows
        self.evaluated = (rank, split.images, world_size)  # shares of one size, whatever the shards hold
        self.names = split.features["label"].names
        self.samples, self.batch_size, self.rank, self.buffer = samples, batch_size, rank, buffer
        images = split.images // world_size if buffer else len(range(rank, split.images, world_size))
        self.batches = images // batch_size if buffer else -(-images // batch_size)
        self.used, self.workers = 0, 1
        self.states: dict[int, dict[str, Any]] = {}

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[dict[str, Any] | None]:
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        if worker < self.used % workers:
            yield None  # its turn in this round was before the resume
        state = self.states.get(worker, {"rows": None, "block": 0, "served": 0})
        in_order = ((row, state) for row in itertools.islice(self.rows, *self.evaluated))
        rows = self._shuffled(worker, state) if self.buffer else in_order
        while some := list(itertools.islice(rows, self.batch_size)):
            state = some[-1][1]
            batch = collate([self._sample(worker, *pair) for pair in some])
            yield {**batch, "stream": (worker, workers, state)} if self.buffer else batch

    def _sample(self, worker: int, row: dict[str, Any], state: dict[str, Any]) -> Any:
        label = row["label"]
        if isinstance(label, str) and label in self.names:
            label = self.names.index(label)
        if label not in range(len(self.names)):
            valid = f"0 to {len(self.names) - 1}, and names such as {self.names[0]!r}"
            return BadImage(f"an image of the {self.samples.name} split has the label {label!r}; valid are {valid}")
        return self.samples.make(row["image"], label, (self.rank, worker, state["block"], state["served"]))

    def _shuffled(self, worker: int, state: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Yield rows and, with each, where to go on behind it; without end."""
        begin, block, served = state["rows"], state["block"], state["served"]
        while True:
            stream = copy.deepcopy(self.rows)
            if begin is not None:
                stream.load_state_dict(begin)
            rows = iter(stream)
            while buffered := list(itertools.islice(rows, self.buffer)):
                generator = torch.Generator().manual_seed(seed_for(self.samples.seed, "block", self.rank, worker, block))
                for place in torch.randperm(len(buffered), generator=generator)[served:].tolist():
                    served += 1
                    yield buffered[place], {"rows": begin, "block": block, "served": served}
                begin, block, served = stream.state_dict(), block + 1, 0
            begin = None

    def advance(self, worker: int, workers: int, state: dict[str, Any]) -> None:
        """Remember where a worker goes on after a batch of its that is used now."""
        self.used, self.workers = self.used + 1, workers
        self.states[worker] = state

    def state_dict(self) -> dict[str, Any]:
        """Return where all workers go on, in plain types."""
        return {"used": self.used, "workers": self.workers, "states": dict(self.states)}

    def load_state_dict(self, state: dict[str, Any], workers: int) -> None:
        """Go on there.

        Raises:
            UsageError: If there was another number of workers, who shared the shards otherwise.

        """
        if state["used"] and state["workers"] != max(1, workers):
            raise UsageError(
                f"the checkpoint's stream was read by {state['workers']} workers, and here are {workers}: resume with "
                f"data.num_workers {state['workers']}."
            )
        self.used, self.workers, self.states = state["used"], state["workers"], dict(state["states"])


class StreamLoader(DataLoader):
    """Serve an epoch of an endless stream; the position is the data module's."""

    def __iter__(self) -> Any:
        batches: Iterable[Any] = super().__iter__()
        return itertools.islice((batch for batch in batches if batch is not None), len(self))

    def state_dict(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Do nothing."""
