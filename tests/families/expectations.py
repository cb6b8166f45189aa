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
    *("head", "neuron", "head_dim", "branch", "width", "combined"),
    *("random", "taylor", "fisher", "wanda", "sparse_gpt", "movement"),
    *("distillation", "resume", "scan", "command"),
    *("export", "fewer_heads", "fewer_neurons", "fewer_channels", "onnx", "size"),
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


REFUSALS = [
    Refusal(
        COLUMNS,
        ("siglip2",),
        "takes lists of patches, not images of one size",
        "NaFlex models take lists of patches instead of images. SigLIP2 models of a fixed size "
        "belong to the family SigLIP.",
    ),
    Refusal(
        ("head", "head_dim", "fewer_heads"),
        ("convnext", "convnextv2", "levit", "resnet"),
        "vitprune knows no attention in",
        "vitprune knows no attention here; you can [declare one](own_modules.md).",
    ),
    Refusal(
        ("branch", "width", "combined", "fewer_channels"),
        ("convnext", "convnextv2", "levit", "resnet"),
        "vitprune knows no attention",
        "vitprune knows no attention here; you can [declare one](own_modules.md).",
    ),
    Refusal(
        ("neuron", "fewer_neurons"),
        ("levit", "resnet"),
        "vitprune knows no MLP in",
        "vitprune knows no MLP here; you can [declare one](own_modules.md).",
    ),
    Refusal(
        ("neuron", "combined", "fewer_neurons"),
        ("timm_eva02_base", "convnextv2"),
        "it normalises all neurons together, so that pruning one changes the others",
        "A norm over all neurons: pruning one neuron changes the others.",
    ),
    Refusal(
        ("head_dim",),
        ("swinv2", "timm_vit_qknorm", "timm_swinv2"),
        "it normalises queries and keys, so that pruning one dimension changes the others",
        "Queries and keys are normalised: pruning one dimension changes the others.",
    ),
    Refusal(
        ("fewer_heads",),
        (
            *("timm_dinov3", "timm_dinov3_swiglu", "timm_eva02", "timm_eva02_base", "timm_beit"),
            *("timm_swinv2", "hiera", "pvt_v2"),
        ),
        "the code of its forward fixes its width",
        "The code of the attention fixes its width: pruned heads stay in the tensors as zeros, and "
        "the model does not become faster.",
    ),
    Refusal(
        ("width", "fewer_channels"),
        (
            *("swin", "swinv2", "timm_swin", "timm_swinv2"),
            *("hiera", "pvt", "pvt_v2", "segformer", "mobilevit"),
        ),
        "needs a residual stream of one width",
        "Stages of different widths have no residual stream in common.",
    ),
    Refusal(
        ("width", "fewer_channels"),
        ("siglip",),
        "(nn.MultiheadAttention) are in all as wide as the residual stream",
        "The pooling head is an `nn.MultiheadAttention`, whose heads together must be as wide as "
        "the residual stream.",
    ),
    Refusal(
        ("width", "fewer_channels"),
        (
            *("timm_dinov3", "timm_dinov3_swiglu", "timm_eva02", "timm_eva02_base"),
            *("timm_siglip", "timm_beit"),
        ),
        "fixes its width",
        "The code of the attention needs heads that together are as wide as the residual stream.",
    ),
    Refusal(
        ("size",),
        ("levit",),
        "of shape (2, 16) cannot be interpolated",
        "Attention biases of each pair of positions are not interpolated.",
    ),
]

DINOV2 = ("dinov2", "dinov2_registers", "dinov2_swiglu")
# families whose configuration can express the smaller model, so that no code of vitprune loads it
PLAIN: dict[str, tuple[str, ...]] = {
    "fewer_heads": ("vit", "deit", "vit_msn", "ijepa", "beit", *DINOV2),
    "fewer_channels": ("vit", "deit", "vit_msn", "ijepa", "beit", *DINOV2),
    "fewer_neurons": (
        *("vit", "deit", "vit_msn", "ijepa", "beit", *DINOV2, "dinov3", "dinov3_gated"),
        *("clip", "siglip", "data2vec", "swin", "swinv2"),
        *("timm_vit", "timm_vit_qknorm", "timm_vit_registers", "timm_deit3", "timm_siglip"),
        *("timm_dinov3", "timm_dinov3_swiglu", "timm_eva02", "timm_beit"),
        *("timm_swin", "timm_swinv2"),
    ),
}

# families without a classifier in `transformers`: their exports carry its code
WITH_CODE = ("dinov3", "dinov3_gated")


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
