"""2:4 sparsity, compared on a GPU; see `vitprune.exports.semi_structured` for the conversion."""

from dataclasses import replace

import torch

from vitprune.errors import UsageError
from vitprune.exports.exported import Exported
from vitprune.exports.formats.format import Format
from vitprune.exports.load import load_stock
from vitprune.exports.semi_structured import convert, find_convertible, missing_gpu
from vitprune.exports.verify import compare, logits
from vitprune.runs.format_report import FormatReport


class SemiStructured(Format):
    """The zeros in `model.safetensors` for 2:4 kernels of a GPU; no file is written."""

    name = "semi_structured"
    usage = """\
At most 2 of 4 consecutive inputs have a nonzero weight. On a GPU of compute capability 8.0 or
above:

```python
from vitprune.exports.semi_structured import convert

model = convert(model.to("cuda", torch.bfloat16))
```

"""

    def write(self, exported: Exported) -> FormatReport:
        """Convert the model if there is a GPU for it, and compare its logits.

        Raises:
            UsageError: If no layer is 2:4 sparse.

        """
        found = find_convertible(exported.net)
        if not found.layers:
            name, why = next(iter(found.refused.items()))
            raise UsageError(
                f"--formats semi_structured: no layer is 2:4 sparse; {name} {why}. Prune with the "
                "granularity NofM(2, 4); --shrink off keeps groups of four together."
            )
        missing = missing_gpu()
        report = FormatReport() if missing else _compare_on_gpu(exported)
        return replace(
            report,
            layers=found.layers,
            dense_layers=found.refused,
            converted=missing is None,
            note=missing and f"{missing}: the layers stay dense, which run on any device",
        )


def _compare_on_gpu(exported: Exported) -> FormatReport:
    net = load_stock(exported.folder.path).to("cuda", torch.bfloat16)
    images = exported.images.to("cuda", torch.bfloat16)
    dense = logits(net, images).float()
    return compare(dense, logits(convert(net), images).float())
