"""SIGTERM and Ctrl-C ask; the training loop answers at the next point from which it can go on exactly."""

import signal
from types import FrameType
from typing import Any

from lightning import Trainer


class StopSignals:
    """Remember that the process was asked to stop. A second Ctrl-C interrupts at once.

    Attributes:
        received: Number of the first signal, or None.

    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def install(self) -> None:
        """Take over SIGTERM and SIGINT."""
        self._before = {number: signal.signal(number, self._remember) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore(self) -> None:
        """Give both back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def agreed(self, trainer: Trainer) -> bool:
        """Return whether any process was asked to stop; all processes get the same answer."""
        if trainer.world_size == 1:
            return self.received is not None
        return trainer.strategy.reduce_boolean_decision(self.received is not None, all=False)

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
