"""The sparsities that a scan measures."""

from collections.abc import Sequence

from vitprune.errors import UsageError


def check_sparsities(sparsities: Sequence[float]) -> list[float]:
    """Return sparsities in ascending order, each once.

    Raises:
        UsageError: If there is none, or if one is not in (0, 1).

    """
    if not sparsities or not all(0 < sparsity < 1 for sparsity in sparsities):
        raise UsageError(
            f"sparsities must be greater than 0 and less than 1, not {list(sparsities)}."
        )
    return sorted(set(sparsities))
