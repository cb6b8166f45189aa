"""Models as functions, run by PyTorch, `torch.compile` or ONNX Runtime."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor
from transformers import PreTrainedModel

from vitprune.benchmark.cpu import cpu_name
from vitprune.errors import UsageError
from vitprune.exports import onnx
from vitprune.exports.choices import DTYPES
from vitprune.exports.formats.onnx import ONNX
from vitprune.model.anatomy.config import image_shape
from vitprune.model.logits import Logits
from vitprune.runs.latency_report import Backend, LatencyConditions, TimedType


@dataclass(frozen=True)
class Timed:
    """A model to time.

    Attributes:
        run: Images on the device, (B, channels, height, width), to logits.
        image_shape: (channels, height, width).

    """

    run: Callable[[Tensor], Tensor]
    image_shape: tuple[int, int, int]


def conditions_here(
    device: str, backend: Backend = "eager", dtype: TimedType = "float32", batch_size: int = 1
) -> LatencyConditions:
    """Describe how models run on this machine.

    Raises:
        UsageError: If ONNX Runtime is asked for on a GPU or in another type than float32.

    """
    if backend == "onnx" and (device != "cpu" or dtype != "float32"):
        raise UsageError(
            "the backend onnx is measured on a CPU in float32. Use eager or compiled on a GPU and "
            "for other types."
        )
    if backend == "onnx" and (missing := [p for p in ONNX.packages if find_spec(p) is None]):
        raise UsageError(
            f"the backend onnx needs {', '.join(missing)}. Run pip install {' '.join(missing)}."
        )
    name = torch.cuda.get_device_name() if device == "cuda" else cpu_name()
    return LatencyConditions(name, torch.get_num_threads(), backend, dtype, batch_size)


def timed(net: PreTrainedModel, device: str, conditions: LatencyConditions) -> Timed:
    """Return a model as it runs under these conditions; it is moved to the device."""
    shape = image_shape(net.config)
    if conditions.backend == "onnx":
        with TemporaryDirectory() as folder:
            file = Path(folder) / "model.onnx"
            onnx.convert(net, file, shape)
            return Timed(onnx.Runtime(file), shape)
    net.to(device, DTYPES[conditions.dtype])
    return Timed(as_function(net, compiled=conditions.backend == "compiled"), shape)


def as_function(net: PreTrainedModel, *, compiled: bool) -> Logits:
    """Return a model as a function from images to logits."""
    model = Logits(net).eval()
    if compiled:
        model.compile(dynamic=False)  # kernels for any batch size would be slower
    return model
