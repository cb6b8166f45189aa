"""What a checkpoint records about the pruning of its run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vitprune.runs.rounds import RoundReport

ACCURACY = "val/accuracy"
LOSS = "val/loss"


@dataclass(frozen=True)
class PruningRecord:
    """The pruning of a run so far.

    Attributes:
        finished: Whether the pruning schedule is complete.
        rounds: Rounds in their order; without accuracies if another metric was monitored.
        dense_accuracy: Validation accuracy of the dense model; None if it was not measured.
        dense_loss: Validation loss of the dense model; None if it was not measured.
        dense_zeros: Number of exact zeros among its parameters; None if they were not counted.

    """

    finished: bool
    rounds: list[RoundReport]
    dense_accuracy: float | None
    dense_loss: float | None
    dense_zeros: int | None

    @classmethod
    def of(cls, state: Mapping[str, Any] | None) -> "PruningRecord":
        """Return the record in the state of a pruning callback; None stands for an unpruned run."""
        if state is None:
            return UNPRUNED
        has_accuracy = state["settings"]["monitor"] == ACCURACY
        return cls(
            finished=state["finished"],
            rounds=[_round(done, has_accuracy=has_accuracy) for done in state["rounds"]],
            dense_accuracy=state["dense"].get(ACCURACY),
            dense_loss=state["dense"].get(LOSS),
            dense_zeros=state["dense_zeros"],
        )


UNPRUNED = PruningRecord(
    finished=True, rounds=[], dense_accuracy=None, dense_loss=None, dense_zeros=None
)


def _round(done: Mapping[str, Any], *, has_accuracy: bool) -> RoundReport:
    return RoundReport(
        round=done["round"],
        epoch=done["epoch"],
        step=done["step"],
        target=done["target"],
        sparsity=done["sparsity"],
        removed=done["removed"],
        accuracy_pruned=done["pruned"] if has_accuracy else None,
        accuracy_finetuned=done["finetuned"] if has_accuracy else None,
        left=done["left"],
    )
