"""The weights without their zeros; see `vitprune.exports.compressed` for the layout."""

import torch
from torch import Tensor

from vitprune.exports.compressed import bits_of, compress, restore
from vitprune.exports.exported import Exported
from vitprune.exports.formats.format import Format
from vitprune.runs.format_report import FormatReport


class Compressed(Format):
    """A small file for a sparse model."""

    name = "compressed"
    usage = """\
`model.compressed.safetensors` stores the same weights, bit for bit, without their zeros.
`vitprune.load_pruned` loads a folder that has it instead of `model.safetensors`. The tensors alone:

```python
from vitprune.exports.compressed import restore

state_dict = restore("path/to/this/folder/model.compressed.safetensors")
```

"""

    def write(self, exported: Exported) -> FormatReport:
        """Write the compressed weights, and verify that every bit is restored."""
        file = exported.folder.compressed
        state = exported.net.state_dict()
        compress(state, file)
        restored = restore(file)
        if restored.keys() != state.keys() or any(
            not _same_bits(restored[name], state[name]) for name in state
        ):
            raise RuntimeError(f"{file.name} does not restore the weights. Nothing was exported.")
        return FormatReport(bytes=file.stat().st_size, lossless=True)


def _same_bits(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(bits_of(a), bits_of(b))
