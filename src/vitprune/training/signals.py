"""Stop signals: finish the step, save a checkpoint, exit with the conventional code."""

import os
import signal
import subprocess
from types import FrameType
from typing import Any

from lightning import Trainer
from lightning.fabric.plugins.environments import SLURMEnvironment


class StopSignals:
    """Record that the process was asked to stop. A second Ctrl-C interrupts immediately.

    Attributes:
        received: Number of the first signal, or None.

    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def install(self) -> None:
        """Handle SIGTERM and SIGINT, and in a SLURM job SIGUSR1.

        On SIGUSR1 Lightning would save in the middle of a step.
        """
        numbers = [signal.SIGTERM, signal.SIGINT]
        if SLURMEnvironment.detect():
            numbers.append(signal.SIGUSR1)
        self._before = {number: signal.signal(number, self._remember) for number in numbers}

    def restore(self) -> None:
        """Restore the earlier handlers."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def agreed(self, trainer: Trainer) -> bool:
        """Return whether any process was asked to stop; all processes get the same answer."""
        return _on_any_rank(trainer, here=self.received is not None)

    def requeue(self, trainer: Trainer) -> str:
        """Requeue the SLURM job on SIGUSR1, which `--signal=USR1@120` sends.

        Returns:
            What to print; empty without SIGUSR1.

        """
        if not _on_any_rank(trainer, here=self.received == signal.SIGUSR1):
            return ""
        said = _requeue() if trainer.is_global_zero else ""
        # a barrier as well: the first process to end terminates the others
        return str(trainer.strategy.broadcast(said))

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


def _on_any_rank(trainer: Trainer, *, here: bool) -> bool:
    if trainer.world_size == 1:
        return here
    return bool(trainer.strategy.reduce_boolean_decision(here, all=False))


def _requeue() -> str:
    array, task = (os.environ.get(f"SLURM_ARRAY_{name}") for name in ("JOB_ID", "TASK_ID"))
    job = f"{array}_{task}" if array else os.environ["SLURM_JOB_ID"]
    try:
        subprocess.run(["scontrol", "requeue", job], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"the job could not be requeued: {error}"
    return "the job is requeued."
