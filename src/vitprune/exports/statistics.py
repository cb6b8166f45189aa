"""Statistics about an export, none of which can make it fail."""

from collections.abc import Callable
from typing import TypeVar

from lightning.pytorch.utilities.rank_zero import rank_zero_warn

from vitprune.model.trial import first_line

Statistic = TypeVar("Statistic")


def try_to(verb: str, compute: Callable[[], Statistic]) -> Statistic | None:
    """Return a statistic; None, with a warning of one line, if it cannot be computed.

    Not for what an export promises: its weights, its logits, its accuracy.

    Args:
        verb: What is tried, such as `count FLOPs`.
        compute: Computes the statistic.

    """
    try:
        return compute()
    except Exception as error:  # whatever the code of a model or of a plot raises
        rank_zero_warn(f"Could not {verb}: {first_line(error)}. The export is complete otherwise.")
        return None
