"""Memory of this process and of new processes, on Linux."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    return _status("VmRSS")


def peak_bytes() -> int:
    """Return the highest resident memory of this process so far, or since `reset_peak`."""
    return _status("VmHWM")


def reset_peak() -> None:
    """Set the peak to the resident memory of now."""
    CLEAR_REFS.write_text("5")


def in_new_process(function: Callable[..., int], *arguments: object) -> int:
    """Call a module's function in a new process, whose memory holds nothing else."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _status(field: str) -> int:
    lines = STATUS.read_text().splitlines()
    kibibytes = next(line.split()[1] for line in lines if line.startswith(f"{field}:"))
    return 1024 * int(kibibytes)
