"""Sparsity schedule: absolute target sparsities, round by round.

A schedule has rounds 1 to R. Round r is due at the start of epoch (or optimizer step)
`begin + (r - 1) * every`; the last one is due at `end` and reaches the final sparsity exactly. What
lies between is `sparsity_at(x)` with x = r / R.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from vitprune.errors import UsageError

TOLERANCE = 0.005  # of a sparsity that people have rounded


class Schedule(ABC):
    """Rounds at regular intervals, counted in epochs or in optimizer steps.

    A round costs one update of the masks, and by default a validation just after it (see
    `IterativePruning`).

    Args:
        final_sparsity: Sparsity after the last round, in [0, 1).
        begin_epoch: Epoch at whose start the first round is due.
        end_epoch: Epoch at whose start the last round is due.
        every_n_epochs: Epochs from one round to the next; must divide `end_epoch - begin_epoch`.
        begin_step: As `begin_epoch`, in optimizer steps.
        end_step: As `end_epoch`, in optimizer steps. Give exactly one of the two.
        every_n_steps: As `every_n_epochs`, in optimizer steps; needed with `end_step` unless there
            is one round.
        initial_sparsity: Sparsity from which the rounds set out, in [0, final_sparsity].

    """

    def __init__(
        self,
        final_sparsity: float,
        begin_epoch: int = 0,
        end_epoch: int | None = None,
        every_n_epochs: int = 1,
        begin_step: int = 0,
        end_step: int | None = None,
        every_n_steps: int | None = None,
        initial_sparsity: float = 0.0,
    ) -> None:
        if not 0 <= final_sparsity < 1:
            raise UsageError(
                f"final_sparsity must lie in [0, 1), not {final_sparsity}; 0.8 prunes 80 % of the "
                "weights."
            )
        if not 0 <= initial_sparsity <= final_sparsity:
            raise UsageError(
                f"initial_sparsity must lie in [0, final_sparsity {final_sparsity}], not "
                f"{initial_sparsity}."
            )
        self.final_sparsity, self.initial_sparsity = final_sparsity, initial_sparsity
        if end_step is None and end_epoch is not None:
            self.unit = "epoch"
            self.begin, self.end, self.every = _interval(
                "epoch", begin_epoch, end_epoch, every_n_epochs
            )
            check_unused("steps", begin_step=(begin_step, 0), every_n_steps=(every_n_steps, 1))
        elif end_step is not None and end_epoch is None:
            self.unit = "step"
            self.begin, self.end, self.every = _interval(
                "step", begin_step, end_step, every_n_steps
            )
            check_unused("epochs", begin_epoch=(begin_epoch, 0), every_n_epochs=(every_n_epochs, 1))
        else:
            both = f", not both end_epoch {end_epoch} and end_step {end_step}: set one to null"
            raise UsageError(
                f"a schedule needs either end_epoch or end_step{'' if end_step is None else both}."
            )

    @property
    def rounds(self) -> int:
        """The number of rounds, R >= 1."""
        return (self.end - self.begin) // self.every + 1

    def rounds_due(self, position: int) -> int:
        """Return how many rounds are due once epoch (or step) `position` starts, in [0, R]; past the end, R."""
        if position < self.begin:
            return 0
        return min(self.rounds, (position - self.begin) // self.every + 1)

    def starts(self, end: int) -> Sequence[int]:
        """Return the epochs (or steps) at which rounds may be due, in a training that lasts until `end`."""
        return range(self.begin, self.end + 1, self.every)

    def finished(self, rounds: int) -> bool:
        """Return whether the model is at its final sparsity once `rounds` rounds are done."""
        return rounds >= self.rounds

    def sparsity(self, round: int) -> float:
        """Return the sparsity after a round in [1, R]; after the last, `final_sparsity` to the bit."""
        return (
            self.final_sparsity if round >= self.rounds else self.sparsity_at(round / self.rounds)
        )

    @abstractmethod
    def sparsity_at(self, x: float) -> float:
        """Return the sparsity at the fraction x of the rounds, in (0, 1); must not fall with x."""

    def keep_within(self, most: float) -> None:
        """Raise `UsageError` if it asks for clearly more than the largest sparsity that can be reached."""
        if self.final_sparsity > most + TOLERANCE:
            raise UsageError(
                f"final_sparsity {self.final_sparsity:g} cannot be reached: what must be kept of "
                f"each layer (a last head or neuron, min_density) leaves {most:.4f} at most."
            )

    # ---- for schedules that follow the metric

    observes: ClassVar[bool] = (
        False  # whether it wants to see the monitored metric after every validation
    )

    @property
    def ended(self) -> bool:
        """Whether training may stop."""
        return False

    @property
    def retreating(self) -> bool:
        """Whether the next round sets out from the last good state."""
        return False

    def start_afresh(self, sparsity: float = 0.0) -> None:  # noqa: B027
        """Forget what was observed, and set out from a model that is as sparse as this."""

    def observe(self, metric: float, dense: float) -> bool:
        """Take note of the monitored metric after an epoch of fine-tuning; return whether this is a good state."""
        return True

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must hold beside the settings."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:  # noqa: B027 (most have none)
        """Take it back."""


def _interval(unit: str, begin: int, end: int, every: int | None) -> tuple[int, int, int]:
    """Return when rounds begin and end and how far apart they are, if that can be; a single round needs no distance."""
    if not 0 <= begin <= end:
        raise UsageError(f"begin_{unit} {begin} must lie in [0, end_{unit} {end}].")
    if every is None and begin < end:
        raise UsageError(
            f"a schedule with end_{unit} needs every_n_{unit}s, the {unit}s from one round to the "
            "next."
        )
    every = 1 if every is None else every
    if every < 1 or (end - begin) % every:
        raise UsageError(
            f"every_n_{unit}s {every} must be at least 1 and divide end_{unit} - begin_{unit} = "
            f"{end - begin}, so that the last round falls on end_{unit}."
        )
    return begin, end, every


def check_unused(unit: str, **given: tuple[int | None, int]) -> None:
    """Refuse values of keys, beside None and a default, that a schedule in the other unit would ignore."""
    for key, (value, default) in given.items():
        if value not in (None, default):
            raise UsageError(
                f"{key} {value} counts {unit}, which this schedule does not: set {key} to "
                f"{default}."
            )
