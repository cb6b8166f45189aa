"""A small file for a sparse model: for each weight a bitmask and its nonzero values.

The layout is the sparse-bitmask format of compressed-tensors, which that package no longer writes:
a safetensors file with `NAME.compressed` (the values, row by row) and `NAME.bitmask` (one bit per
weight, the first one in the lowest bit of its byte). Shapes are in the metadata. A tensor that
would not become smaller is stored as it is, under its own name.
"""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

SHAPES = "shapes"


def compress(state: dict[str, Tensor], file: Path) -> None:
    """Write tensors to a compressed file."""
    stored, shapes = dict[str, Tensor](), dict[str, list[int]]()
    for name, value in state.items():
        keep = bits_of(value) != 0  # -0.0 is kept
        if keep.numel() / 8 + int(keep.sum()) * value.element_size() < value.nbytes:
            packed = np.packbits(keep.flatten().numpy(), bitorder="little")
            stored[f"{name}.compressed"] = value[keep]
            stored[f"{name}.bitmask"] = torch.from_numpy(packed)
            shapes[name] = list(value.shape)
        else:
            stored[name] = value.contiguous()
    save_file(stored, file, metadata={"format": "pt", SHAPES: json.dumps(shapes)})


def restore(file: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a compressed file, bit for bit as they were."""
    stored = load_file(file)
    with safe_open(file, framework="pt") as opened:
        shapes = json.loads(opened.metadata()[SHAPES])
    for name, shape in shapes.items():
        values, bitmask = stored.pop(f"{name}.compressed"), stored.pop(f"{name}.bitmask")
        count = int(np.prod(shape))
        bits = np.unpackbits(bitmask.numpy(), count=count, bitorder="little")
        whole = torch.zeros(count, dtype=values.dtype)
        whole.masked_scatter_(torch.from_numpy(bits.astype(bool)), values)
        stored[name] = whole.view(shape)
    return stored


def bits_of(value: Tensor) -> Tensor:
    """Return the same memory as integers."""
    integers = {2: torch.int16, 4: torch.int32, 8: torch.int64}
    return value.contiguous().view(integers[value.element_size()])
