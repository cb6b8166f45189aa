"""What a user can choose about an export."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

ShrinkMode = Literal["auto", "required", "off"]
DType = Literal["float32", "float16", "bfloat16"]
DTYPES: dict[DType, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


@dataclass(frozen=True)
class Choices:
    """What a user can choose about an export.

    Attributes:
        formats: Further formats, names in `FORMATS`.
        shrink: `auto` removes all structure that can be removed exactly, `required` raises an error
            if zeroed structure stays, `off` removes nothing.
        dtype: Type of the stored weights.
        token_merging: Tokens that each block merges in the formats that are programs; 0 for none.

    """

    formats: Sequence[str] = ()
    shrink: ShrinkMode = "auto"
    dtype: DType = "float32"
    token_merging: int = 0


DEFAULT = Choices()
