"""SIGTERM, Ctrl-C and SLURM's SIGUSR1 ask; the training loop answers at the next point from which it can go on exactly."""

import os
import signal
import subprocess
from types import FrameType
from typing import Any

from lightning import Trainer
from lightning.fabric.plugins.environments import SLURMEnvironment


class StopSignals:
    """Remember that the process was asked to stop. A second Ctrl-C interrupts at once.

    Attributes:
        received: Number of the first signal, or None.

    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def install(self) -> None:
        """Take over SIGTERM and SIGINT; in a SLURM job also SIGUSR1, at which Lightning would save in the middle of a step."""
        numbers = [
            signal.SIGTERM,
            signal.SIGINT,
            *([signal.SIGUSR1] if SLURMEnvironment.detect() else []),
        ]
        self._before = {number: signal.signal(number, self._remember) for number in numbers}

    def restore(self) -> None:
        """Give them back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def agreed(self, trainer: Trainer) -> bool:
        """Return whether any process was asked to stop; all processes get the same answer."""
        return _anywhere(trainer, self.received is not None)

    def requeue(self, trainer: Trainer) -> str:
        """Put the SLURM job back into its queue if SIGUSR1 asked for that, as `--signal=USR1@120` does; return what to say."""
        if not _anywhere(trainer, self.received == signal.SIGUSR1):
            return ""
        said = _requeue() if trainer.is_global_zero else ""
        return str(
            trainer.strategy.broadcast(said)
        )  # together: the first process to end takes the others with it

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


def _anywhere(trainer: Trainer, here: bool) -> bool:
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
        return f"the job could not be put back into its queue: {error}"
    return "the job is back in its queue."
