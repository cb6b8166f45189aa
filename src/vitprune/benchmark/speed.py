"""Latency and throughput of models relative to each other, on this machine."""

import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from vitprune.benchmark.backends import Timed
from vitprune.benchmark.candidates import Candidate
from vitprune.exports.turns import time_in_turns
from vitprune.runs.benchmark_report import Speed


def measure_speeds(
    candidates: Sequence[Candidate], batch_size: int, repeats: int, device: str
) -> list[Speed]:
    """Measure models in turns, so that other load on the machine affects all of them.

    Args:
        candidates: Models; the others are compared with the first one.
        batch_size: Batch size for throughput; latency is measured at batch size 1.
        repeats: Number of rounds after the warm-up, in each of which every model runs once.
        device: `cpu` or `cuda`.

    """
    with compiling(len(candidates)):
        single = time_rounds(candidates, 1, repeats, device)
        batch = time_rounds(candidates, batch_size, repeats, device)
    return [
        _summarize(own, candidates[0], single[i], batch[i], batch[0], batch_size)
        for i, own in enumerate(candidates)
    ]


@contextmanager
def compiling(models: int) -> Iterator[None]:
    """Let torch compile this many models for two batch sizes; above its limit, it runs eagerly.

    The limit counts all graphs of a function, so those of earlier models are forgotten.
    """
    torch.compiler.reset()
    config = torch._dynamo.config  # noqa: SLF001  # has no public name
    with config.patch(recompile_limit=2 * models):
        yield


@torch.inference_mode()
def time_rounds(
    candidates: Sequence[Timed], batch_size: int, repeats: int, device: str
) -> list[list[float]]:
    """Return the seconds of a batch: for each model, those of all rounds.

    See `time_in_turns`.
    """
    images = [torch.randn(batch_size, *own.image_shape, device=device) for own in candidates]
    calls = [partial(_run, own, batch) for own, batch in zip(candidates, images, strict=True)]
    return time_in_turns(calls, repeats)


def _run(candidate: Timed, images: Tensor) -> None:
    candidate.run(images)
    if images.is_cuda:
        torch.cuda.synchronize()


def _summarize(
    own: Candidate,
    first: Candidate,
    single: list[float],
    batch: list[float],
    first_batch: list[float],
    batch_size: int,
) -> Speed:
    """Return the speed of a model.

    Args:
        own: The model.
        first: The model that it is compared with.
        single: Seconds of a batch of one in each round.
        batch: Seconds of a batch in each round.
        first_batch: The same of the first model.
        batch_size: Images in a batch.

    """
    rates = [batch_size / seconds for seconds in batch]
    speedups = [theirs / ours for theirs, ours in zip(first_batch, batch, strict=True)]
    return Speed(
        name=own.name,
        latency_ms=1000 * statistics.median(single),
        latency_spread_ms=1000 * spread(single),
        images_per_s=statistics.median(rates),
        images_per_s_spread=spread(rates),
        measured_speedup=statistics.median(speedups),
        theoretical_speedup=first.flops / own.flops,
        flops=own.flops,
        parameters=own.parameters,
        bytes=own.bytes,
        accuracy=own.accuracy,
    )


def spread(values: Sequence[float]) -> float:
    """Return the distance between the quartiles; 0 for a single value."""
    if len(values) < 2:
        return 0.0
    first, _, third = statistics.quantiles(values, n=4)
    return third - first
