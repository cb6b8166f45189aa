"""The pruning rounds of a run, as stored in `report.json` and as table rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field

MOST_ROUNDS = 20  # in a table
HEADER = ("round", "epoch", "target", "reached", "just after pruning", "after fine-tuning")


@dataclass(frozen=True)
class RoundReport:
    """One pruning round.

    Attributes:
        round: Number of the round, from 1.
        epoch: Epoch of the mask update, from 0.
        step: Optimizer steps before it.
        target: Fraction of the budget to remove, in [0, 1).
        sparsity: Sparsity reached over the prunable weights, in [0, 1).
        removed: Fraction of the budget that is removed; the sparsity, unless the budget counts
            something else.
        accuracy_pruned: Validation accuracy just after pruning; None if it was not measured.
        accuracy_finetuned: Validation accuracy after fine-tuning; None if it was not measured.
        left: What the model costs without its pruned structure, by unit, such as FLOPs; empty if
            the budget counts weights.

    """

    round: int
    epoch: int
    step: int
    target: float
    sparsity: float
    removed: float
    accuracy_pruned: float | None
    accuracy_finetuned: float | None
    left: dict[str, float] = field(default_factory=dict)


def round_table(rounds: Sequence[RoundReport]) -> list[tuple[str, ...]]:
    """Return a header and the rows below it; of many rounds a selection and the last one."""
    every = len(rounds) // MOST_ROUNDS + 1
    shown = (*rounds[:-1:every], *rounds[-1:])
    units = [unit for done in rounds[-1:] for unit in done.left]
    return [(*HEADER, *units), *(_row(done) for done in shown)]


def _row(done: RoundReport) -> tuple[str, ...]:
    return (
        str(done.round),
        str(done.epoch),
        f"{done.target:.2%}",
        f"{done.removed:.2%}",
        _percent(done.accuracy_pruned),
        _percent(done.accuracy_finetuned),
        *(in_units(cost) for cost in done.left.values()),
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def in_units(number: float) -> str:
    """Return a large number for people.

    Examples:
        >>> in_units(1.2345e9), in_units(86_567_656), in_units(512), in_units(8.256)
        ('1.23 G', '86.57 M', '512', '8.26')

    """
    for power, prefix in ((9, "G"), (6, "M"), (3, "k")):
        if number >= 10**power:
            return f"{number / 10**power:.2f} {prefix}"
    return f"{number:.3g}"
