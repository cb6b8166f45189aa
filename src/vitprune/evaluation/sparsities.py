"""The sparsities that a scan measures."""

from collections.abc import Sequence

from vitprune.errors import UsageError
from vitprune.runs.plain_values import plain


def check_sparsities(sparsities: Sequence[float]) -> list[float]:
    """Return sparsities in ascending order, each once.

    Raises:
        UsageError: If there is none, or if one is not in (0, 1).

    """
    sparsities = plain(sparsities)
    if not sparsities or not all(0 < sparsity < 1 for sparsity in sparsities):
        raise UsageError(f"sparsities must be greater than 0 and less than 1, not {sparsities}.")
    return sorted(set(sparsities))
