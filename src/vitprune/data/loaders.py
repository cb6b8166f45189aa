"""Loaders of one process's share of a split, from rows or from a stream."""

import itertools
import os
from collections.abc import Iterable
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import DataLoader

from vitprune.data.evaluation_stream import EvaluationStream
from vitprune.data.position import Position
from vitprune.data.row_samples import ImageSamples, LabelledImages, collate
from vitprune.data.sampler import EpochSampler
from vitprune.data.share import Share
from vitprune.data.streaming import StreamedSplit
from vitprune.data.training_stream import TrainingStream
from vitprune.errors import UsageError

MAX_WORKERS = 8  # more per process are no faster for images of 224 pixels


class ResumableLoader(DataLoader):
    """A loader that tells Lightning it can resume within an epoch.

    Its own state is empty, as the data module stores the position.
    """

    def state_dict(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Do nothing."""


class StreamLoader(ResumableLoader):
    """A loader of one epoch of an endless stream."""

    def __iter__(self) -> Any:
        batches: Iterable[Any] = super().__iter__()
        return itertools.islice((batch for batch in batches if batch is not None), len(self))


def make_loader(
    images: Dataset | StreamedSplit,
    samples: ImageSamples,
    *,
    batch_size: int,
    workers: int,
    share: Share,
    shuffle: bool,
    start: Position,
    buffer: int,
) -> DataLoader:
    """Return a loader of one process's share of a split.

    Args:
        images: The split.
        samples: Decodes and transforms.
        batch_size: Images in a batch. When shuffling, an incomplete last batch is left out;
            otherwise see `Share.even_batch_size`.
        workers: Processes that decode, at most one per shard of a stream; 0 decodes in this one.
        share: Share of this process.
        shuffle: Serve the images in an order that depends on the seed of `samples` and the epoch;
            otherwise in their own.
        start: Where to start; a stream stores its own state.
        buffer: Images of a stream that are shuffled among themselves.

    Raises:
        UsageError: If there are fewer images than processes.

    """
    if len(images) < share.world_size:
        raise UsageError(
            f"the {samples.name} split has {len(images)} images, fewer than the "
            f"{share.world_size} processes. Decrease trainer.devices or trainer.num_nodes."
        )
    if not shuffle:
        batch_size = share.even_batch_size(len(images), batch_size)
    if isinstance(images, StreamedSplit):
        stream: TrainingStream | EvaluationStream = EvaluationStream(
            images, samples, batch_size, share
        )
        if shuffle:
            stream = TrainingStream(images, samples, batch_size, share, buffer)
        return StreamLoader(stream, batch_size=None, **_reading(min(workers, stream.readers)))
    labelled = LabelledImages(images, samples)
    sampler = EpochSampler(
        labelled,
        seed=samples.seed if shuffle else None,
        batch_size=batch_size,
        share=share,
        start=start,
    )
    return ResumableLoader(
        labelled,
        batch_size=batch_size,
        sampler=sampler,
        drop_last=shuffle,
        persistent_workers=workers > 0,
        collate_fn=collate,
        **_reading(workers),
    )


def _reading(workers: int) -> dict[str, Any]:
    return {
        "num_workers": workers,
        "pin_memory": torch.cuda.is_available(),
        "worker_init_fn": leave_process_group,
        # without it each new iterator would draw from the global generator
        "generator": torch.Generator().manual_seed(0),
    }


def leave_process_group(worker: int) -> None:
    """Keep a signal to the process group from a worker: the main process handles it."""
    os.setpgrp()


def usual_workers() -> int:
    """Return the default number of workers: one per available core, up to `MAX_WORKERS`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(MAX_WORKERS, cores or 1)
