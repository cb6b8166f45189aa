"""Batches of a streamed split for training: shuffled, without end, and exactly resumable.

Each worker of each rank reads separate shards, block by block, and serves a block in an order
that is a function of (seed, rank, worker, block). What it needs to resume exactly is small and is
sent along with each batch: where the block begins, and how much of it is used. An epoch is as many
batches as its images fill, and the next one continues after them.
"""

import copy
import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import datasets
import torch
from datasets.distributed import split_dataset_by_node
from torch.utils.data import IterableDataset, get_worker_info

from vitprune.data.row_samples import ImageSamples, Sample, collate
from vitprune.data.share import Share
from vitprune.data.stream_samples import Row, StreamSamples
from vitprune.data.stream_state import StreamState, WorkerState
from vitprune.data.streaming import StreamedSplit
from vitprune.errors import UsageError
from vitprune.seeding import seed_for


class TrainingStream(IterableDataset):
    """Batches of shuffled blocks of one rank's share; the incomplete last batch is left out.

    Args:
        split: The split to read.
        samples: Decodes and transforms.
        batch_size: Images in a batch.
        share: Share of this process.
        buffer: Images in a block.

    Attributes:
        readers: Number of workers that can read it together.
        state: Where the workers continue after the batches used so far.

    """

    def __init__(
        self,
        split: StreamedSplit,
        samples: ImageSamples,
        batch_size: int,
        share: Share,
        buffer: int,
    ) -> None:
        self.rows: datasets.IterableDataset = split_dataset_by_node(
            split.rows, share.rank, share.world_size
        )
        self.samples = StreamSamples(samples, split.features["label"].names)
        self.seed = samples.seed
        self.batch_size = batch_size
        self.share = share
        self.buffer = buffer
        self.batches = split.images // share.world_size // batch_size
        self.readers = self.rows.num_shards
        self.state = StreamState()

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[dict[str, Any] | None]:
        """Yield batches as `collate` makes them, with `stream`: the arguments of `advance`.

        None stands for a batch that was served before the resume.
        """
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        if worker < self.state.used % workers:
            yield None  # the turn of this worker in this round was before the resume
        rows = self._shuffled(worker, self.state.states.get(worker, WorkerState()))
        while True:
            some = list(itertools.islice(rows, self.batch_size))
            batch = collate([self._sample(row, worker, state) for row, state in some])
            yield {**batch, "stream": (worker, workers, some[-1][1])}

    def _sample(self, row: Row, worker: int, state: WorkerState) -> Sample:
        key = (self.share.rank, worker, state.block, state.served)
        place = f"image {state.served} of block {state.block} of reader {worker}"
        return self.samples.make(row, key, place)

    def _shuffled(self, worker: int, state: WorkerState) -> Iterator[tuple[Row, WorkerState]]:
        """Yield rows without end and, with each, where the worker continues after it."""
        while True:
            stream = copy.deepcopy(self.rows)
            if state.rows is not None:
                stream.load_state_dict(state.rows)
            rows = iter(stream)
            while buffered := list(itertools.islice(rows, self.buffer)):
                for place in self._order(len(buffered), worker, state.block)[state.served :]:
                    state = replace(state, served=state.served + 1)
                    yield buffered[place], state
                state = WorkerState(stream.state_dict(), state.block + 1)
            if state.rows is None:
                raise UsageError(
                    "the shards that a data worker reads are all empty. Remove them, or reduce "
                    "data.num_workers."
                )
            state = replace(state, rows=None)

    def _order(self, images: int, worker: int, block: int) -> list[int]:
        seed = seed_for(self.seed, "block", self.share.rank, worker, block)
        return torch.randperm(images, generator=torch.Generator().manual_seed(seed)).tolist()

    def advance(self, worker: int, workers: int, state: WorkerState) -> None:
        """Note that a batch is used; the arguments are its `stream`."""
        self.state.advance(worker, workers, state)

    def state_dict(self) -> dict[str, Any]:
        """Return where all workers continue, in plain types."""
        return self.state.state_dict()

    def load_state_dict(self, state: dict[str, Any], workers: int) -> None:
        """Continue there; see `StreamState.from_state_dict`."""
        self.state = StreamState.from_state_dict(state, workers)
