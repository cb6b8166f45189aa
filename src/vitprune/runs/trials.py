"""The trials of a search, on disk, so that an interrupted search can be resumed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vitprune.runs.typed_json import read_json, write_json


@dataclass(frozen=True)
class Trial:
    """A candidate of a search.

    Attributes:
        rates: Rates by name; see `Isomorphic`.
        loss: Loss on held-out images after pruning with these rates; None if it is not finite.

    """

    rates: dict[str, float]
    loss: float | None

    @property
    def rank(self) -> float:
        """What trials are compared by: the loss, lower = better."""
        return math.inf if self.loss is None else self.loss


@dataclass(frozen=True)
class Trials:
    """The trials of a search so far.

    Attributes:
        trials: In their order.

    """

    trials: Sequence[Trial] = ()

    @classmethod
    def read(cls, path: Path) -> "Trials":
        """Return the trials in a file; none if it does not exist.

        Raises:
            UsageError: If the file is damaged.

        """
        return read_json(path, cls) if path.is_file() else cls()

    def write(self, path: Path) -> None:
        """Write the trials to a file, whole or not at all."""
        write_json(path, self)

    @property
    def best(self) -> Trial:
        """The trial with the lowest loss, the first of several."""
        return min(self.trials, key=lambda trial: trial.rank)
