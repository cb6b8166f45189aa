"""A `torch.export` program: `torch.export.load(file).module()(images)` needs nothing but torch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vitprune.export.exported import Exported, Logits
from vitprune.export.verify import agreement

FILE = "model.pt2"


def write(exported: Exported) -> dict[str, Any]:
    """Write `model.pt2`, for any batch size; return how its logits compare."""
    file = exported.folder / FILE
    images = torch.zeros(
        2, *exported.images.shape[1:]
    )  # a batch of one would be taken for a constant
    batch = {"pixel_values": {0: torch.export.Dim("batch", min=1)}}
    with torch.no_grad():
        program = torch.export.export(Logits(exported.smallest), (images,), dynamic_shapes=batch)
        program.example_inputs = None  # they would be pickled into the file
        torch.export.save(program, file)
        logits = load(file)(exported.images)
    return {**agreement(exported.logits, logits), "bytes": file.stat().st_size}


def load(file: Path) -> Callable[[Tensor], Tensor]:
    """Return a program that takes images, (B, channels, height, width), to logits, (B, classes)."""
    return torch.export.load(file).module()
