"""An ONNX model, compared by ONNX Runtime on real images. Needs the extra `onnx`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from vitprune.errors import UsageError
from vitprune.exports.attention import eager_attention
from vitprune.exports.conversion import converting
from vitprune.exports.exported import Exported
from vitprune.exports.verify import compare
from vitprune.model.logits import Logits
from vitprune.runs.format_report import FormatReport

INPUT = "pixel_values"
OUTPUT = "logits"


def write(exported: Exported) -> FormatReport:
    """Write an ONNX model for any batch size, and compare its logits.

    Raises:
        UsageError: If the weights are bfloat16, which ONNX Runtime does not support on a CPU.
        ConversionError: If the model cannot be converted.

    """
    file, net = exported.folder.onnx, exported.smallest
    if net.dtype == torch.bfloat16:
        raise UsageError(
            "--formats onnx: ONNX Runtime does not support bfloat16 on a CPU. Use --dtype float16 "
            "or float32."
        )
    with converting("onnx", file):
        convert(net, file, exported.images.shape[1:])
        logits = Runtime(file)(exported.images)
    return replace(compare(exported.logits, logits), bytes=file.stat().st_size)


def convert(net: PreTrainedModel, file: Path, image_shape: Sequence[int]) -> None:
    """Write a model as an ONNX file for any batch size.

    Args:
        net: Model on the CPU, in evaluation mode.
        file: File to write.
        image_shape: (channels, height, width).

    """
    images = torch.zeros(2, *image_shape)  # a batch of one would become a constant
    with eager_attention(net):  # a third fewer nodes, without guards against fully masked rows
        program: Any = torch.onnx.export(
            Logits(net).eval(),
            (images,),
            dynamo=True,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes={INPUT: {0: torch.export.Dim("batch", min=1)}},
            verbose=False,
        )
    program.save(file)


class Runtime:
    """An ONNX model on the CPU.

    Args:
        file: ONNX file.
        threads: Number of threads; by default that of torch.

    """

    def __init__(self, file: Path, threads: int | None = None) -> None:
        import onnxruntime  # an extra

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or torch.get_num_threads()
        self.session = onnxruntime.InferenceSession(
            str(file), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, images: Tensor) -> Tensor:
        """(B, channels, height, width) -> (B, classes)."""
        return torch.from_numpy(self.session.run([OUTPUT], {INPUT: images.numpy()})[0])
