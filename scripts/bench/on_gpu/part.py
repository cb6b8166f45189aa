"""Parts: each runs in a separate process with a time limit; a failure stops only that part."""

import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkContext, ForkServerContext, SpawnContext

from scripts.bench.on_gpu.figures import Figure, describe
from scripts.bench.on_gpu.scale import Scale


@dataclass(frozen=True)
class Part:
    """A part of the report.

    Attributes:
        name: Heading in the table.
        run: A function of a module that yields figures as soon as they are measured.
        limit_s: Seconds after which the part is stopped; what it has yielded by then counts.

    """

    name: str
    run: Callable[[Scale], Iterator[Figure]]
    limit_s: float


@dataclass(frozen=True)
class Result:
    """What came of a part.

    Attributes:
        name: Name of the part.
        figures: Its figures.
        seconds: How long it took.
        error: Why it did not finish; None if it did.

    """

    name: str
    figures: list[Figure]
    seconds: float
    error: str | None


def run_part(
    part: Part, scale: Scale, processes: ForkContext | ForkServerContext | SpawnContext
) -> Result:
    """Run a part in a new process.

    Args:
        part: The part.
        scale: Device and sizes.
        processes: How processes are started: not by a fork of this one, in which CUDA may run.

    """
    receiver, sender = processes.Pipe(duplex=False)
    process = processes.Process(target=_send_figures, args=(part.run, scale, sender))
    start = time.monotonic()
    process.start()
    sender.close()
    figures: list[Figure] = []
    error: str | None = f"stopped after {part.limit_s:.0f} s"
    try:
        while receiver.poll(max(0.0, start + part.limit_s - time.monotonic())):
            message = receiver.recv()
            if not isinstance(message, Figure):
                error = message
                break
            figures.append(message)
    except EOFError:
        process.join()
        error = f"the process ended with exit code {process.exitcode}"
    if process.is_alive() and process.pid:
        os.killpg(process.pid, signal.SIGKILL)  # with its data workers
    process.join()
    return Result(part.name, figures, time.monotonic() - start, error)


def _send_figures(
    run: Callable[[Scale], Iterator[Figure]], scale: Scale, sender: Connection
) -> None:
    """Send each figure, then None or what went wrong."""
    os.setsid()
    try:
        for figure in run(scale):
            sender.send(figure)
    except BaseException as error:
        traceback.print_exc()
        sender.send(describe(error))
    else:
        sender.send(None)
