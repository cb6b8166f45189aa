"""A `torch.export` program: `torch.export.load(file).module()(images)` needs only torch."""

import io
from dataclasses import replace
from pathlib import Path

import torch

from vitprune.exports.conversion import converting
from vitprune.exports.exported import Exported
from vitprune.exports.formats.format import Program, Run
from vitprune.exports.verify import compare
from vitprune.model.logits import Logits
from vitprune.runs.format_report import FormatReport
from vitprune.runs.run_folder import ExportFolder


class Pt2(Program):
    """A program of `torch.export` for any batch size."""

    name = "pt2"
    title = "model.pt2"
    runtime = "torch"
    usage = """\
With torch alone:

```python
import torch

logits = torch.export.load("path/to/this/folder/model.pt2").module()(pixel_values)
```

"""

    def files(self, folder: ExportFolder) -> tuple[Path, ...]:
        """Return the file of the program."""
        return (folder.pt2,)

    def write(self, exported: Exported) -> FormatReport:
        """Write the program, and compare its logits."""
        file = exported.folder.pt2
        with converting("pt2", file), torch.no_grad():
            program = export_program(exported)
            content = io.BytesIO()  # torch itself would end the process on a full disk
            torch.export.save(program, content)
            file.write_bytes(content.getbuffer())
            logits = self.load(file)(exported.images)
        return replace(compare(exported.logits, logits), bytes=file.stat().st_size)

    def load(self, file: Path) -> Run:
        """Return a program as a function."""
        return torch.export.load(file).module()


def export_program(exported: Exported) -> torch.export.ExportedProgram:
    """Return the smallest model as a program for any batch size."""
    images = torch.zeros(2, *exported.images.shape[1:])  # a batch of one would become a constant
    batch = {"pixel_values": {0: torch.export.Dim("batch", min=1)}}
    program = torch.export.export(Logits(exported.smallest), (images,), dynamic_shapes=batch)
    program.example_inputs = None  # would be pickled into the file
    return program
