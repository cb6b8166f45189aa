"""What each family supports: the cells of the matrix, as tests assert and the page shows them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.families.families import FAMILIES, Family
from vitprune.errors import UsageError

COLUMNS = (
    *("roles", "element", "two_of_four"),
    *("head", "neuron", "head_dim", "branch", "combined"),
    *("random", "taylor", "fisher", "wanda", "sparse_gpt", "movement"),
    *("distillation", "resume", "scan", "command"),
    *("export", "fewer_heads", "fewer_neurons", "onnx", "size"),
)


@dataclass(frozen=True)
class Refusal:
    """Cells that are refused; all others are supported.

    Attributes:
        columns: Columns of the matrix.
        families: Names of families.
        message: Part of the message of the `UsageError`.
        note: Why, for the documentation.

    """

    columns: tuple[str, ...]
    families: tuple[str, ...]
    message: str
    note: str


REFUSALS: list[Refusal] = []

# families whose configuration can express the smaller model, so that no code of vitprune loads it
PLAIN: dict[str, tuple[str, ...]] = {
    "fewer_heads": ("vit", "deit", "vit_msn", "ijepa", "beit", "dinov2", "dinov2_registers"),
    "fewer_neurons": (
        *("vit", "deit", "vit_msn", "ijepa", "beit", "dinov2", "dinov2_registers"),
        *("clip", "siglip", "data2vec", "swin", "swinv2"),
        *("timm_vit", "timm_vit_qknorm", "timm_vit_registers", "timm_deit3", "timm_siglip"),
        *("timm_dinov3", "timm_swin"),
    ),
}


def is_plain(column: str, family: Family) -> bool:
    """Return whether plain `transformers`, or timm, loads what a column exports."""
    return column not in PLAIN or family.name in PLAIN[column]


def refusal(column: str, family: Family) -> Refusal | None:
    """Return how a cell is refused; None if it is supported."""
    found = (r for r in REFUSALS if column in r.columns and family.name in r.families)
    return next(found, None)


@contextmanager
def expected(column: str, family: Family) -> Iterator[None]:
    """Assert that the body runs, or that it is refused as the matrix says."""
    refused = refusal(column, family)
    if refused is None:
        yield
    else:
        with pytest.raises(UsageError, match=re.escape(refused.message)):
            yield


def families(column: str) -> pytest.MarkDecorator:
    """Parametrize a test over all families; those off the diagonal of the matrix are slow."""
    return pytest.mark.parametrize(
        "family",
        [
            pytest.param(family, id=name, marks=() if on_diagonal else pytest.mark.slow)
            for name, family, on_diagonal in _cells(column)
        ],
    )


def _cells(column: str) -> Iterator[tuple[str, Family, bool]]:
    """Yield the families, and whether `make test` runs them: each in one column, in turn."""
    for row, (name, family) in enumerate(FAMILIES.items()):
        yield name, family, row % len(COLUMNS) == COLUMNS.index(column)
