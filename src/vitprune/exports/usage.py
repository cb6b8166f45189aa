"""How to load an export, and how to use each of its formats, for the model card."""

from dataclasses import dataclass

from transformers import PreTrainedModel

from vitprune.model.backbones import BackboneForImageClassification
from vitprune.model.timm import is_timm
from vitprune.runs.report import RunReport

BY_TIMM = """\
With timm alone:

```python
import timm

model = timm.create_model("local-dir:path/to/this/folder", pretrained=True).eval()
config = timm.data.resolve_model_data_config(model)
logits = model(timm.data.create_transform(**config)(image)[None])
```

"""
OWN_CODE = """\
`transformers` has no image classifier for this backbone; `backbones.py` contains one.

"""

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


@dataclass(frozen=True)
class Loading:
    """How `transformers` loads a folder.

    Attributes:
        options: Further arguments of `from_pretrained`.
        remark: Paragraph about it.

    """

    options: str = ""
    remark: str = ""


def loading_of(net: PreTrainedModel) -> Loading:
    """Return how the folder of a model is loaded."""
    if is_timm(net.config):
        return Loading(remark=BY_TIMM)
    if isinstance(net, BackboneForImageClassification):
        return Loading(", trust_remote_code=True", OWN_CODE)
    return Loading()


def describe_usage(report: RunReport) -> str:
    """Return a paragraph for `load_pruned`, if it saves something, and one for each format."""
    smaller = LOAD_PRUNED if report.shrunk.dropped_by_load_pruned else ""
    return smaller + "".join(FORMATS[name] for name in report.formats)
