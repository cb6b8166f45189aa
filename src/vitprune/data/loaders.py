"""Loaders: which process serves which images, and how many workers read them."""

import itertools
import os
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import DataLoader

from vitprune.data.image_streams import EvaluationStream, ImageStream, StreamLoader, TrainingStream
from vitprune.data.loading import (
    EpochSampler,
    ImageSamples,
    LabelledImages,
    Position,
    ResumableLoader,
    collate,
)
from vitprune.data.streaming import StreamedSplit
from vitprune.errors import UsageError

MAX_WORKERS = 8  # more than this per process gains nothing for 224 px images


def make_loader(
    images: Dataset | StreamedSplit,
    samples: ImageSamples,
    *,
    batch_size: int,
    workers: int,
    rank: int,
    world_size: int,
    shuffle: bool,
    start: Position,
    buffer: int,
) -> DataLoader:
    """Return batches of one process's share of a split.

    Args:
        images: The split.
        samples: Makes its images ready.
        batch_size: Images in a batch; when shuffling, an incomplete last one is left out, else see
            `even_batch_size`.
        workers: Processes that decode, at most one for each shard of a stream; 0 decodes in this
            one.
        rank: This process, in [0, world_size).
        world_size: Number of processes.
        shuffle: Serve them in an order that depends on the seed of the samples and the epoch; else
            in their own.
        start: Where to begin; a stream has a state of its own.
        buffer: Images of a stream that are shuffled among themselves.

    Raises:
        UsageError: If there are fewer images than processes.

    """
    if len(images) < world_size:
        raise UsageError(
            f"the {samples.name} split has {len(images)} images, fewer than the {world_size} "
            "processes."
        )
    if not shuffle:
        batch_size = even_batch_size(len(images), batch_size, world_size)
    if isinstance(images, StreamedSplit):
        share = (images, samples, batch_size, rank, world_size)
        stream: ImageStream = (
            TrainingStream(*share, buffer) if shuffle else EvaluationStream(*share)
        )
        return StreamLoader(stream, batch_size=None, **_reading(min(workers, stream.readers)))
    labelled = LabelledImages(images, samples)
    seed = samples.seed if shuffle else None
    sampler = EpochSampler(
        labelled, seed=seed, batch_size=batch_size, rank=rank, world_size=world_size, start=start
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


def even_batch_size(images: int, batch_size: int, world_size: int) -> int:
    """Return the batch size, or the next one with which every process gets as many batches, though
    one image more or less.

    A process with one batch more than the others would wait for them for ever, if the model is
    sharded over all of them.
    """
    fewest, left = divmod(images, world_size)
    return next(size for size in itertools.count(batch_size) if not left or fewest % size)


def _reading(workers: int) -> dict[str, Any]:
    return {
        "num_workers": workers,
        "pin_memory": torch.cuda.is_available(),
        "worker_init_fn": leave_process_group,
        "generator": torch.Generator().manual_seed(
            0
        ),  # or each new iterator would draw from the global generator
    }


def leave_process_group(worker: int) -> None:
    """Let a worker live through a Ctrl-C or SIGTERM to the whole process group: the main process answers it."""
    os.setpgrp()


def usual_workers() -> int:
    """Return a worker for each core that this process may use, within reason."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(MAX_WORKERS, cores or 1)
