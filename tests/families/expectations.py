"""What each family supports: the cells of the matrix, as the tests assert and the page shows them.

A cell that is not named here is supported. A refusal is a part of the message of the `UsageError`.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.families.families import FAMILIES, Family
from vitprune.errors import UsageError

# column: title in the documentation
COLUMNS = {
    "roles": "roles",
    "element": "single weights",
    "two_of_four": "2:4",
    "head": "heads",
    "neuron": "neurons",
    "head_dim": "head dimensions",
    "branch": "branches",
    "combined": "heads and neurons",
    "random": "Random",
    "taylor": "Taylor",
    "fisher": "Fisher",
    "wanda": "Wanda",
    "sparse_gpt": "SparseGPT",
    "movement": "Movement",
    "distillation": "distillation",
    "resume": "resuming",
    "scan": "scans",
    "command": "fit",
    "export": "export",
    "shrink_heads": "fewer heads",
    "shrink_neurons": "fewer neurons",
    "onnx": "ONNX",
    "size": "image size",
}

# column, then family: part of the message
REFUSALS: dict[str, dict[str, str]] = {}


def families(column: str) -> pytest.MarkDecorator:
    """Parametrize a test over all families; those off the diagonal of the matrix are slow."""
    return pytest.mark.parametrize(
        "family",
        [
            pytest.param(
                family, id=name, marks=() if _on_diagonal(column, row) else pytest.mark.slow
            )
            for row, (name, family) in enumerate(FAMILIES.items())
        ],
    )


def _on_diagonal(column: str, row: int) -> bool:
    """Return whether `make test` runs a cell: one of each family, one or two of each column."""
    return list(COLUMNS)[row % len(COLUMNS)] == column


@contextmanager
def expected(column: str, family: Family) -> Iterator[None]:
    """Assert that the body runs, or that it is refused as the matrix says."""
    refusal = REFUSALS.get(column, {}).get(family.name)
    if refusal is None:
        yield
    else:
        with pytest.raises(UsageError, match=re.escape(refusal)):
            yield
