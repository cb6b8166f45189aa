"""Loaders: which process serves which images, and how many workers read them."""

import os
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import DataLoader

from vitprune.data.loading import EpochSampler, ImageSamples, LabelledImages, Position, ResumableLoader, collate
from vitprune.data.streaming import ImageStream, StreamedSplit, StreamLoader

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
        batch_size: Images in a batch; when shuffling, an incomplete last one is left out.
        workers: Processes that decode, at most one for each shard of a stream; 0 decodes in this one.
        rank: This process, in [0, world_size).
        world_size: Number of processes.
        shuffle: Serve them in an order that depends on the seed of the samples and the epoch; else in their own.
        start: Where to begin; a stream has a state of its own.
        buffer: Images of a stream that are shuffled among themselves.

    """
    if isinstance(images, StreamedSplit):
        stream = ImageStream(images, samples, batch_size, rank, world_size, buffer if shuffle else None)
        workers = min(workers, stream.rows.num_shards if shuffle else 1)  # an order needs one reader
        return StreamLoader(stream, batch_size=None, **_reading(workers))
    labelled = LabelledImages(images, samples)
    seed = samples.seed if shuffle else None
    sampler = EpochSampler(labelled, seed=seed, batch_size=batch_size, rank=rank, world_size=world_size, start=start)
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
        "generator": torch.Generator().manual_seed(0),  # or each new iterator would draw from the global generator
    }


def leave_process_group(worker: int) -> None:
    """Let a worker live through a Ctrl-C or SIGTERM to the whole process group: the main process answers it."""
    os.setpgrp()


def usual_workers() -> int:
    """Return a worker for each core that this process may use, within reason."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(MAX_WORKERS, cores or 1)
