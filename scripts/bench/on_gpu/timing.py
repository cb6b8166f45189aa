"""Times on a device: by CUDA events on a GPU, by the clock elsewhere."""

import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial

import torch

from scripts.bench.interleaved import Measurements, interleave


def milliseconds(function: Callable[[], object], device: str, calls: int = 1) -> float:
    """Return the milliseconds of one call; several are launched without waiting in between."""
    if device != "cuda":
        start_s = time.perf_counter()
        for _ in range(calls):
            function()
        return 1e3 * (time.perf_counter() - start_s) / calls
    start = torch.cuda.Event(enable_timing=True)
    end = torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    start.record()
    for _ in range(calls):
        function()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / calls


def take_turns(
    candidates: Mapping[str, Callable[[], object]], device: str, repeats: int, calls: int = 1
) -> Measurements:
    """Measure the milliseconds of candidates in turns, after a round of warm-up."""
    timed = {
        name: partial(milliseconds, function, device, calls)
        for name, function in candidates.items()
    }
    return interleave(timed, repeats)


def median_ms(function: Callable[[], object], device: str, repeats: int) -> float:
    """Return the median milliseconds of a call, after one of warm-up."""
    function()
    return statistics.median(milliseconds(function, device) for _ in range(repeats))
