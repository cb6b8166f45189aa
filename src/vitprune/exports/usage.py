"""How to use each format of an export, for the model card."""

from vitprune.runs.report import RunReport

LOAD_PRUNED = """\
The model above zero-pads what its configuration cannot express, such as widths that differ between
blocks. The smallest model with the same logits is

```python
import vitprune

model = vitprune.load_pruned("path/to/this/folder")
```

"""

FORMATS = {
    "pt2": """\
With torch alone:

```python
import torch

logits = torch.export.load("path/to/this/folder/model.pt2").module()(pixel_values)
```

""",
    "onnx": """\
With ONNX Runtime:

```python
import onnxruntime

session = onnxruntime.InferenceSession("path/to/this/folder/model.onnx")
(logits,) = session.run(["logits"], {"pixel_values": pixel_values.numpy()})
```

""",
    "compressed": """\
`model.compressed.safetensors` stores the same weights, bit for bit, without their zeros.
`vitprune.load_pruned` loads a folder that has it instead of `model.safetensors`. The tensors alone:

```python
from vitprune.exports.compressed import restore

state_dict = restore("path/to/this/folder/model.compressed.safetensors")
```

""",
    "semi_structured": """\
At most 2 of 4 consecutive inputs have a nonzero weight. On a GPU of compute capability 8.0 or
above:

```python
from vitprune.exports.semi_structured import convert

model = convert(model.to("cuda", torch.bfloat16))
```

""",
}


def describe_usage(report: RunReport) -> str:
    """Return a paragraph for `load_pruned`, if it saves something, and one for each format."""
    smaller = LOAD_PRUNED if report.shrunk.dropped_by_load_pruned else ""
    return smaller + "".join(FORMATS[name] for name in report.formats)
