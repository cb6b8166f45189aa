"""How to load an export, and how to use each of its formats, for the model card."""

from dataclasses import dataclass

from transformers import PreTrainedModel

from vitprune.exports.formats.available import FORMATS
from vitprune.exports.formats.int8 import Int8
from vitprune.model.backbones import BackboneForImageClassification
from vitprune.model.timm import is_timm
from vitprune.runs.format_report import FormatReport
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
    return smaller + "".join(_describe(*written) for written in report.formats.items())


def _describe(name: str, written: FormatReport) -> str:
    was_not_kept = isinstance(FORMATS[name], Int8) and written.note
    return f"{written.note}.\n\n" if was_not_kept else FORMATS[name].usage
