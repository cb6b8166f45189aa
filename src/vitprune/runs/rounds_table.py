"""The pruning rounds of a run as table rows."""

from collections.abc import Sequence
from typing import Any

MOST_ROUNDS = 20  # in a table


ROUND_HEADER = ("round", "epoch", "target", "reached", "just after pruning", "after fine-tuning")


def round_rows(rounds: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return the rows below `ROUND_HEADER` for the rounds of a `report.json`, of many some and the last."""
    rows = []
    for done in (*rounds[: -1 : len(rounds) // MOST_ROUNDS + 1], *rounds[-1:]):
        scores = [
            "-" if done[key] is None else f"{done[key]:.2%}"
            for key in ("accuracy_pruned", "accuracy_finetuned")
        ]
        rows.append(
            (
                str(done["round"]),
                str(done["epoch"]),
                f"{done['target']:.2%}",
                f"{done['sparsity']:.2%}",
                *scores,
            )
        )
    return rows
