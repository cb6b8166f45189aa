"""An ONNX model, compared by ONNX Runtime on real images. Needs the extra `onnx`."""

from dataclasses import replace
from pathlib import Path

import torch

from vitprune.errors import UsageError
from vitprune.exports import onnx
from vitprune.exports.conversion import converting
from vitprune.exports.exported import Exported
from vitprune.exports.formats.format import Program, Run
from vitprune.exports.verify import compare
from vitprune.runs.format_report import FormatReport
from vitprune.runs.run_folder import ExportFolder


class ONNX(Program):
    """An ONNX model for any batch size."""

    name = "onnx"
    title = "ONNX Runtime"
    runtime = "onnx"
    packages = ("onnx", "onnxscript", "onnxruntime")
    usage = """\
With ONNX Runtime:

```python
import onnxruntime

session = onnxruntime.InferenceSession("path/to/this/folder/model.onnx")
(logits,) = session.run(["logits"], {"pixel_values": pixel_values.numpy()})
```

"""

    def files(self, folder: ExportFolder) -> tuple[Path, ...]:
        """Return the ONNX file."""
        return (folder.onnx,)

    def write(self, exported: Exported) -> FormatReport:
        """Write the model, and compare its logits.

        Raises:
            UsageError: If the weights are bfloat16, which ONNX Runtime does not support on a CPU.
            ConversionError: If the model cannot be converted.

        """
        file, net = exported.folder.onnx, exported.smallest
        if net.dtype == torch.bfloat16:
            raise UsageError(
                "--formats onnx: ONNX Runtime does not support bfloat16 on a CPU. Use --dtype "
                "float16 or float32."
            )
        with converting("onnx", file):
            onnx.convert(net, file, exported.images.shape[1:])
            logits = self.load(file)(exported.images)
        return replace(compare(exported.logits, logits), bytes=file.stat().st_size)

    def load(self, file: Path) -> Run:
        """Return an ONNX model as a function."""
        return onnx.Runtime(file)
