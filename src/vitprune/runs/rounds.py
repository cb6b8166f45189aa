"""The pruning rounds of a run, as stored in `report.json` and as table rows."""

from collections.abc import Sequence
from dataclasses import dataclass

MOST_ROUNDS = 20  # in a table
ROUND_HEADER = ("round", "epoch", "target", "reached", "just after pruning", "after fine-tuning")


@dataclass(frozen=True)
class RoundReport:
    """One pruning round.

    Attributes:
        round: Number of the round, from 1.
        epoch: Epoch of the mask update, from 0.
        step: Optimizer steps before it.
        target: Target sparsity, in [0, 1).
        sparsity: Sparsity reached, in [0, 1).
        accuracy_pruned: Validation accuracy just after pruning; None if it was not measured.
        accuracy_finetuned: Validation accuracy after fine-tuning; None if it was not measured.

    """

    round: int
    epoch: int
    step: int
    target: float
    sparsity: float
    accuracy_pruned: float | None
    accuracy_finetuned: float | None


def round_rows(rounds: Sequence[RoundReport]) -> list[tuple[str, ...]]:
    """Return the rows below `ROUND_HEADER`; of many rounds a selection and the last one."""
    every = len(rounds) // MOST_ROUNDS + 1
    return [_row(done) for done in (*rounds[:-1:every], *rounds[-1:])]


def _row(done: RoundReport) -> tuple[str, ...]:
    return (
        str(done.round),
        str(done.epoch),
        f"{done.target:.2%}",
        f"{done.sparsity:.2%}",
        _percent(done.accuracy_pruned),
        _percent(done.accuracy_finetuned),
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"
