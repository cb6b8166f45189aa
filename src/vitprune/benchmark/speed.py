"""How fast models are against each other, on this machine."""

import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vitprune.benchmark.candidates import Contender, Setting

WARM_UP = 2


@dataclass(frozen=True)
class Speed:
    """How one model did.

    Attributes:
        name: Its name.
        latency_ms: Time of a batch of one, in milliseconds, median.
        latency_spread_ms: The middle half of the times lies within so many milliseconds.
        images_per_s: Throughput at the given batch, median.
        images_per_s_spread: Its spread, likewise.
        measured_speedup: Throughput against the first model: median of the ratios of each round.
        theoretical_speedup: The same ratio of FLOPs.
        flops: Of one image.
        parameters: Their number.
        bytes: Of the weights on disk; None if they are not on disk.

    """

    name: str
    latency_ms: float
    latency_spread_ms: float
    images_per_s: float
    images_per_s_spread: float
    measured_speedup: float
    theoretical_speedup: float
    flops: int
    parameters: int
    bytes: int | None


def race(
    contenders: Sequence[Contender], batch_size: int, repeats: int, device: str
) -> list[Speed]:
    """Measure models in turns, so that what else happens on the machine happens to all of them.

    Args:
        contenders: The first one is what the others are compared with.
        batch_size: For throughput.
        repeats: Number of rounds after the warm-up.
        device: `cpu` or `cuda`.

    """
    with torch._dynamo.config.patch(
        recompile_limit=2 * len(contenders)
    ):  # further models would run without being compiled
        single = time_rounds(contenders, 1, repeats, device)
        batch = time_rounds(contenders, batch_size, repeats, device)
    return [_speed(i, contenders, single[i], batch, batch_size) for i in range(len(contenders))]


@torch.inference_mode()
def time_rounds(
    contenders: Sequence[Contender], batch_size: int, repeats: int, device: str
) -> list[list[float]]:
    """Return seconds a batch, for each model those of all rounds. Each round starts with another model."""
    images = [
        torch.randn(batch_size, *contender.image_shape, device=device) for contender in contenders
    ]
    seconds: list[list[float]] = [[] for _ in contenders]
    for turn in range(WARM_UP + repeats):
        for place in range(len(contenders)):
            i = (turn + place) % len(contenders)
            elapsed = _time(contenders[i], images[i])
            if turn >= WARM_UP:
                seconds[i].append(elapsed)
    return seconds


def _time(contender: Contender, images: Tensor) -> float:
    start = time.perf_counter()
    contender.run(images)
    if images.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _speed(
    i: int,
    contenders: Sequence[Contender],
    single: list[float],
    batch: list[list[float]],
    batch_size: int,
) -> Speed:
    rates = [batch_size / seconds for seconds in batch[i]]
    return Speed(
        name=contenders[i].name,
        latency_ms=1000 * statistics.median(single),
        latency_spread_ms=1000 * spread(single),
        images_per_s=statistics.median(rates),
        images_per_s_spread=spread(rates),
        measured_speedup=statistics.median(
            base / own for base, own in zip(batch[0], batch[i], strict=True)
        ),
        theoretical_speedup=contenders[0].flops / contenders[i].flops,
        flops=contenders[i].flops,
        parameters=contenders[i].parameters,
        bytes=contenders[i].bytes,
    )


def describe_machine(setting: Setting) -> dict[str, Any]:
    """Return how and on what models ran."""
    gpu = torch.cuda.get_device_name() if setting.device == "cuda" else None
    return {
        "device": gpu or f"CPU {platform.processor() or platform.machine()}",
        "threads": torch.get_num_threads(),
        "dtype": str(setting.dtype).removeprefix("torch."),
        "compile": setting.compile,
        "torch": torch.__version__,
    }


def spread(values: Sequence[float]) -> float:
    """Return the distance between the quartiles; 0 of a single value."""
    if len(values) < 2:
        return 0.0
    first, _, third = statistics.quantiles(values, n=4)
    return third - first
