"""SIGTERM, Ctrl-C and SLURM's SIGUSR1: stop at the next point that can be resumed exactly."""

import os
import signal
import subprocess
from types import FrameType
from typing import Any

from lightning import Trainer
from lightning.fabric.plugins.environments import SLURMEnvironment


class StopSignals:
    """Remember that the process was asked to stop. A second Ctrl-C interrupts immediately.

    Attributes:
        received: Number of the first signal, or None.

    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def install(self) -> None:
        """Handle SIGTERM and SIGINT; in a SLURM job also SIGUSR1.

        Lightning's own handler of SIGUSR1 would save in the middle of a step.
        """
        numbers = [
            signal.SIGTERM,
            signal.SIGINT,
            *([signal.SIGUSR1] if SLURMEnvironment.detect() else []),
        ]
        self._before = {number: signal.signal(number, self._remember) for number in numbers}

    def restore(self) -> None:
        """Restore the previous handlers."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def agreed(self, trainer: Trainer) -> bool:
        """Return whether any process was asked to stop; all processes get the same answer."""
        return _anywhere(trainer, here=self.received is not None)

    def requeue(self, trainer: Trainer) -> str:
        """Requeue the SLURM job after SIGUSR1 (`--signal=USR1@120`); return a message, or ""."""
        if not _anywhere(trainer, here=self.received == signal.SIGUSR1):
            return ""
        message = _requeue() if trainer.is_global_zero else ""
        # all processes wait here: the end of the first one would terminate the others
        return str(trainer.strategy.broadcast(message))

    @property
    def name(self) -> str:
        """Name of the signal."""
        return signal.Signals(self.received or signal.SIGTERM).name

    @property
    def exit_code(self) -> int:
        """The conventional exit code, 128 + number."""
        return 128 + (self.received or signal.SIGTERM)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.received == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = self.received or number


def _anywhere(trainer: Trainer, *, here: bool) -> bool:
    return (
        here
        if trainer.world_size == 1
        else trainer.strategy.reduce_boolean_decision(here, all=False)
    )


def _requeue() -> str:
    array, task = (os.environ.get(f"SLURM_ARRAY_{name}") for name in ("JOB_ID", "TASK_ID"))
    job = f"{array}_{task}" if array else os.environ["SLURM_JOB_ID"]
    try:
        subprocess.run(["scontrol", "requeue", job], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"The job was not requeued: {error}"
    return "The job was requeued."
