"""Batches of images that are read as they come: in their order to evaluate, shuffled and without
end to train.

To train, each worker of each rank reads shards of its own, block by block, and serves a block in an
order that is a function of (seed, rank, worker, block). What it needs to go on exactly is small and
travels with each batch: where the block begins, and how much of it is used. Such a stream has no
end: an epoch is as many batches as its images fill, and the next one goes on behind them.
"""

import copy
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

import datasets
import torch
from datasets.distributed import split_dataset_by_node
from torch.utils.data import DataLoader, get_worker_info
from torch.utils.data import IterableDataset as TorchIterableDataset

from vitprune.data.loading import BadImage, ImageSamples, Sample, collate
from vitprune.data.streaming import StreamedSplit
from vitprune.errors import UsageError
from vitprune.seeding import seed_for

Row = dict[str, Any]


class ImageStream(TorchIterableDataset, ABC):
    """Batches of one rank's share of a stream.

    Args:
        split: What is read.
        samples: Decodes and transforms.
        batch_size: Images in a batch.

    Attributes:
        batches: Length of an epoch.
        readers: How many processes can read it together.

    """

    batches: int
    readers: int

    def __init__(self, split: StreamedSplit, samples: ImageSamples, batch_size: int) -> None:
        self.names = split.features["label"].names
        self.samples, self.batch_size = samples, batch_size

    def __len__(self) -> int:
        return self.batches

    @abstractmethod
    def __iter__(self) -> Iterator[dict[str, Any] | None]:
        """Yield batches."""

    def _sample(self, row: Row, key: tuple[int, ...], place: str) -> Sample:
        """Return an image ready for a batch; what is random about it is a function of the seed and `key`."""
        label = row["label"]
        if isinstance(label, str) and label in self.names:
            label = self.names.index(label)
        if label not in range(len(self.names)):
            valid = f"0 to {len(self.names) - 1}, and names such as {self.names[0]!r}"
            return BadImage(
                f"{place} of the {self.samples.name} split has the label {label!r}; valid are "
                f"{valid}"
            )
        return self.samples.make(row["image"], label, key, place)


class EvaluationStream(ImageStream):
    """One pass in the given order; every rank serves every `world_size`-th image, as the shards may be of any size."""

    readers = 1

    def __init__(
        self,
        split: StreamedSplit,
        samples: ImageSamples,
        batch_size: int,
        rank: int,
        world_size: int,
    ) -> None:
        super().__init__(split, samples, batch_size)
        self.rows, self.share = split.rows, (rank, split.images, world_size)
        self.batches = -(-len(range(*self.share)) // batch_size)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """See the base class."""
        rows = zip(range(*self.share), itertools.islice(self.rows, *self.share), strict=False)
        while some := list(itertools.islice(rows, self.batch_size)):
            yield collate([self._sample(row, (index,), f"row {index}") for index, row in some])


class TrainingStream(ImageStream):
    """Blocks of shuffled images, again and again; an incomplete last batch of an epoch is left out.

    Args:
        split: What is read.
        samples: Decodes and transforms.
        batch_size: Images in a batch.
        rank: This process, in [0, world_size).
        world_size: Number of processes.
        buffer: Images in a block.

    Attributes:
        used: Batches used so far.
        workers: How many processes read them.
        states: Where each worker goes on after them.

    """

    def __init__(
        self,
        split: StreamedSplit,
        samples: ImageSamples,
        batch_size: int,
        rank: int,
        world_size: int,
        buffer: int,
    ) -> None:
        super().__init__(split, samples, batch_size)
        self.rows: datasets.IterableDataset = split_dataset_by_node(split.rows, rank, world_size)
        self.batches, self.readers = split.images // world_size // batch_size, self.rows.num_shards
        self.rank, self.buffer = rank, buffer
        self.used, self.workers = 0, 1
        self.states: dict[int, dict[str, Any]] = {}

    def __iter__(self) -> Iterator[dict[str, Any] | None]:
        """See the base class."""
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        if worker < self.used % workers:
            yield None  # its turn in this round was before the resume
        rows = self._shuffled(
            worker, self.states.get(worker, {"rows": None, "block": 0, "served": 0})
        )
        while True:
            some = list(itertools.islice(rows, self.batch_size))
            batch = collate([self._ready(row, worker, state) for row, state in some])
            yield {**batch, "stream": (worker, workers, some[-1][1])}

    def _ready(self, row: Row, worker: int, state: dict[str, Any]) -> Sample:
        block, served = state["block"], state["served"]
        return self._sample(
            row,
            (self.rank, worker, block, served),
            f"image {served} of block {block} of reader {worker}",
        )

    def _shuffled(
        self, worker: int, state: dict[str, Any]
    ) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Yield rows and, with each, where to go on behind it; without end."""
        begin, block, served = state["rows"], state["block"], state["served"]
        while True:
            stream = copy.deepcopy(self.rows)
            if begin is not None:
                stream.load_state_dict(begin)
            rows = iter(stream)
            while buffered := list(itertools.islice(rows, self.buffer)):
                generator = torch.Generator().manual_seed(
                    seed_for(self.samples.seed, "block", self.rank, worker, block)
                )
                for place in torch.randperm(len(buffered), generator=generator)[served:].tolist():
                    served += 1
                    yield buffered[place], {"rows": begin, "block": block, "served": served}
                begin, block, served = stream.state_dict(), block + 1, 0
            if begin is None:
                raise UsageError(
                    "the shards that a data worker reads are all empty: remove them, or take fewer "
                    "data.num_workers."
                )
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
                f"the checkpoint's stream was read by {state['workers']} workers, and here are "
                f"{workers}: resume with data.num_workers {state['workers']}."
            )
        self.used, self.workers, self.states = (
            state["used"],
            state["workers"],
            dict(state["states"]),
        )


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
