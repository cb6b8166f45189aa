"""When to prune, and how much: the target sparsity of every round.

A schedule has rounds 1 to R. Round r is due at the start of epoch (or optimizer step)
`begin + (r - 1) * every`; the last round is due at `end` and reaches the final sparsity exactly.
The sparsities in between are `sparsity_at(x)` with x = r / R.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

from vitprune.errors import UsageError
from vitprune.runs.plain_values import plain

Unit = Literal["epoch", "step"]


class Schedule(ABC):
    """Rounds at regular intervals, counted in epochs or in optimizer steps.

    Each round costs one mask update and, by default, one validation just after pruning (see
    `IterativePruning`).

    Args:
        final_sparsity: Sparsity after the last round, in [0, 1); null if `pruning.budget` has a
            target. With a budget other than `PrunableWeights`, this and all other sparsities are
            fractions of the budget that are removed.
        end: Epoch (or optimizer step) at whose start the last round is due.
        begin: Epoch (or optimizer step) at whose start the first round is due.
        every: Epochs (or optimizer steps) between two rounds; must divide `end - begin`. The
            default is 1 epoch; several rounds in steps need it set.
        unit: What `begin`, `end` and `every` count: `epoch`, or `step` for optimizer steps.
        initial_sparsity: Sparsity at which the rounds start, in [0, final_sparsity].

    Raises:
        UsageError: If a value is out of range or the rounds do not end at `end`.

    """

    def __init__(
        self,
        final_sparsity: float | None,
        end: int,
        begin: int = 0,
        every: int | None = None,
        unit: Unit = "epoch",
        initial_sparsity: float = 0.0,
    ) -> None:
        self.final_sparsity: float | None = plain(final_sparsity)
        self.initial_sparsity: float = plain(initial_sparsity)
        self.begin: int = plain(begin)
        self.end: int = plain(end)
        every = plain(every)
        self.every: int = 1 if every is None else every
        if self.final_sparsity is not None:
            _check_sparsities(self.initial_sparsity, self.final_sparsity)
        _check_numbers(self.begin, self.end, self.every)
        _check_interval(self.begin, self.end, every, unit)
        self.unit = unit

    @property
    def last_sparsity(self) -> float:
        """Sparsity after the last round.

        Raises:
            UsageError: If it follows from the target of a budget, and that is not known yet.

        """
        if self.final_sparsity is None:
            raise UsageError(
                "the schedule has no final_sparsity. Set pruning.schedule.final_sparsity, or the "
                "target of a pruning.budget."
            )
        return self.final_sparsity

    def reaching(self, final_sparsity: float) -> "Schedule":
        """Return the same schedule with a final sparsity, in [0, 1)."""
        closed = copy.copy(self)
        _check_sparsities(self.initial_sparsity, final_sparsity)
        closed.final_sparsity = final_sparsity
        return closed

    @property
    def rounds(self) -> int:
        """The number of rounds, R >= 1."""
        return (self.end - self.begin) // self.every + 1

    def rounds_due(self, position: int) -> int:
        """Return the number of rounds due by the start of epoch (or step) `position`, in [0, R]."""
        if position < self.begin:
            return 0
        return min(self.rounds, (position - self.begin) // self.every + 1)

    def starts(self, end: int) -> Sequence[int]:
        """Return the epochs (or steps) at which rounds are due, in a training until `end`."""
        return range(self.begin, self.end + 1, self.every)

    def finished(self, rounds: int) -> bool:
        """Return whether the model is at its final sparsity after `rounds` rounds."""
        return rounds >= self.rounds

    def sparsity(self, round: int) -> float:
        """Return the target sparsity of a round in [1, R]; the last is exactly `final_sparsity`."""
        if round >= self.rounds:
            return self.last_sparsity
        return float(self.sparsity_at(round / self.rounds))

    @abstractmethod
    def sparsity_at(self, x: float) -> float:
        """Return the sparsity at fraction x of the rounds, in (0, 1); must not decrease with x."""


def _check_sparsities(initial: float, final: float) -> None:
    if not 0 <= final < 1:
        raise UsageError(
            f"final_sparsity must lie in [0, 1), not {final}; 0.8 prunes 80 % of the weights."
        )
    if not 0 <= initial <= final:
        raise UsageError(
            f"initial_sparsity must lie in [0, final_sparsity {final}], not {initial}."
        )


def _check_numbers(*numbers: int) -> None:
    if not all(isinstance(number, int) for number in numbers):
        raise UsageError(
            "begin, end and every must be whole numbers of epochs or steps, not "
            f"{', '.join(map(str, numbers))}."
        )


def _check_interval(begin: int, end: int, every: int | None, unit: str) -> None:
    if unit not in ("epoch", "step"):
        raise UsageError(f"unit must be epoch or step, not {unit!r}.")
    if not 0 <= begin <= end:
        raise UsageError(f"begin {begin} must lie in [0, end {end}].")
    if every is None:
        if unit == "step" and begin < end:
            raise UsageError(
                "a schedule with several rounds in steps needs `every`, the steps between two "
                "rounds. With 1, every step is validated if validate_after_pruning is true."
            )
        return
    if every < 1 or (end - begin) % every:
        raise UsageError(
            f"every {every} must be at least 1 and divide end - begin = {end - begin}, so that the "
            f"last round is due at {unit} {end}."
        )
