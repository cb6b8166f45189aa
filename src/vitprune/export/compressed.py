"""A small file for a sparse model: of each weight a bitmask and the values that are not zero.

The layout is that of the sparse-bitmask format of compressed-tensors, which that package no longer
writes: a safetensors file with `NAME.compressed` (the values, row by row) and `NAME.bitmask` (one
bit a weight, the first in the lowest bit of its byte). Shapes are in the metadata. What would not
become smaller is stored as it is, under its own name.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from vitprune.export.exported import Exported

FILE = "model.compressed.safetensors"
SHAPES = "shapes"


def write(exported: Exported) -> dict[str, Any]:
    """Write `model.compressed.safetensors`, prove that it restores every bit, and return its size."""
    file, state = exported.folder / FILE, exported.net.state_dict()
    compress(state, file)
    restored = restore(file)
    if restored.keys() != state.keys() or any(
        not _same_bits(restored[name], state[name]) for name in state
    ):
        raise RuntimeError(f"{FILE} does not restore the weights. Nothing was exported.")
    return {"bytes": file.stat().st_size, "lossless": True}


def compress(state: dict[str, Tensor], file: Path) -> None:
    """Write tensors to a compressed file."""
    stored, shapes = {}, {}
    for name, value in state.items():
        keep = _bits(value) != 0  # minus zero is not nothing
        if keep.numel() / 8 + int(keep.sum()) * value.element_size() < value.nbytes:
            packed = np.packbits(keep.flatten().numpy(), bitorder="little")
            stored[f"{name}.compressed"], stored[f"{name}.bitmask"] = (
                value[keep],
                torch.from_numpy(packed),
            )
            shapes[name] = list(value.shape)
        else:
            stored[name] = value.contiguous()
    save_file(stored, file, metadata={"format": "pt", SHAPES: json.dumps(shapes)})


def restore(file: str | Path) -> dict[str, Tensor]:
    """Return the tensors that a compressed file was made of, bit for bit."""
    stored = load_file(file)
    with safe_open(file, framework="pt") as opened:
        shapes = json.loads(opened.metadata()[SHAPES])
    for name, shape in shapes.items():
        values, bitmask = stored.pop(f"{name}.compressed"), stored.pop(f"{name}.bitmask")
        count = int(np.prod(shape))
        keep = torch.from_numpy(
            np.unpackbits(bitmask.numpy(), count=count, bitorder="little").astype(bool)
        )
        stored[name] = (
            torch.zeros(count, dtype=values.dtype).masked_scatter_(keep, values).view(shape)
        )
    return stored


def _bits(value: Tensor) -> Tensor:
    """Return the same memory as integers."""
    return value.contiguous().view(
        {2: torch.int16, 4: torch.int32, 8: torch.int64}[value.element_size()]
    )


def _same_bits(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(_bits(a), _bits(b))
