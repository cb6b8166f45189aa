"""A `torch.export` program: `torch.export.load(file).module()(images)` needs only torch."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from vitprune.exports.conversion import converting
from vitprune.exports.exported import Exported
from vitprune.exports.verify import compare
from vitprune.model.logits import Logits
from vitprune.runs.format_report import FormatReport


def write(exported: Exported) -> FormatReport:
    """Write a program for any batch size, and compare its logits.

    Raises:
        ConversionError: If the model cannot be converted.

    """
    file = exported.folder.pt2
    images = torch.zeros(2, *exported.images.shape[1:])  # a batch of one would become a constant
    batch = {"pixel_values": {0: torch.export.Dim("batch", min=1)}}
    with converting("pt2", file), torch.no_grad():
        program = torch.export.export(Logits(exported.smallest), (images,), dynamic_shapes=batch)
        program.example_inputs = None  # would be pickled into the file
        content = io.BytesIO()  # writing to a full disk itself, torch would end the process
        torch.export.save(program, content)
        file.write_bytes(content.getbuffer())
        logits = load(file)(exported.images)
    return replace(compare(exported.logits, logits), bytes=file.stat().st_size)


def load(file: Path) -> Callable[[Tensor], Tensor]:
    """Return a program from images, (B, channels, height, width), to logits, (B, classes)."""
    return torch.export.load(file).module()
