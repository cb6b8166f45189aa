"""What a user can choose about an export."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from vitprune.errors import UsageError

ShrinkMode = Literal["auto", "required", "off"]
DType = Literal["float32", "float16", "bfloat16"]
Precision = Literal["float32", "float16", "bfloat16", "int8"]
DTYPES: dict[DType, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


@dataclass(frozen=True)
class Choices:
    """What a user can choose about an export.

    Attributes:
        formats: Further formats, names in `FORMATS`, a quantized one after its source.
        shrink: `auto` removes pruned structure where the logits stay the same, `required` raises
            an error if pruned structure stays as zeros, `off` removes nothing.
        dtype: Data type of the stored weights.
        max_drop: Largest accepted drop of accuracy in int8, in [0, 1].
        token_merging: Tokens that each block merges in the formats that are programs; 0 for none.

    """

    formats: Sequence[str] = ()
    shrink: ShrinkMode = "auto"
    dtype: DType = "float32"
    max_drop: float = 0.01
    token_merging: int = 0


DEFAULT = Choices()


def check_max_drop(max_drop: float) -> None:
    """Raise `UsageError` if a drop of accuracy is not a fraction."""
    if not 0 <= max_drop <= 1:
        raise UsageError(
            f"--max_drop must lie in [0, 1], not {max_drop:g}; 0.01 is one point of accuracy."
        )
