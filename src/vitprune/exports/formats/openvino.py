"""An OpenVINO model with weights in float16. Needs the extra `openvino`."""

from dataclasses import replace
from pathlib import Path

import torch

from vitprune.exports import openvino
from vitprune.exports.conversion import converting
from vitprune.exports.exported import Exported
from vitprune.exports.formats.format import Program, Run
from vitprune.exports.formats.pt2 import export_program
from vitprune.exports.verify import compare
from vitprune.runs.format_report import FormatReport
from vitprune.runs.run_folder import ExportFolder


class OpenVINO(Program):
    """An OpenVINO model for any batch size, which computes in float32."""

    name = "openvino"
    title = "OpenVINO"
    runtime = "openvino"
    packages = ("openvino", "nncf")
    usage = """\
With OpenVINO:

```python
import openvino

model = openvino.Core().compile_model("path/to/this/folder/model.xml", "CPU")
logits = model(pixel_values.numpy())["logits"]
```

"""

    def files(self, folder: ExportFolder) -> tuple[Path, ...]:
        """Return the model and its weights."""
        return with_weights(folder.openvino)

    def write(self, exported: Exported) -> FormatReport:
        """Write the model, and compare its logits."""
        file, _ = self.files(exported.folder)
        with converting("openvino", file):
            with torch.no_grad():
                program = export_program(exported)
            openvino.convert(program, file, exported.images.shape[1:])
            logits = self.load(file)(exported.images)
        return replace(compare(exported.logits, logits), bytes=self.bytes(exported.folder))

    def load(self, file: Path) -> Run:
        """Return an OpenVINO model as a function."""
        return openvino.Runtime(file)


def with_weights(file: Path) -> tuple[Path, Path]:
    """Return the file of an OpenVINO model and that of its weights."""
    return file, file.with_suffix(".bin")
