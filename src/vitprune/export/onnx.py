"""ONNX, checked by ONNX Runtime on real images. Needs the extra `onnx`."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vitprune.errors import UsageError
from vitprune.export.attention import eager_attention
from vitprune.export.exported import Exported, Logits
from vitprune.export.verify import agreement

FILE = "model.onnx"
INPUT, OUTPUT = "pixel_values", "logits"


def write(exported: Exported) -> dict[str, Any]:
    """Write `model.onnx`, for any batch size; return how ONNX Runtime's logits compare.

    Raises:
        UsageError: If the weights are bfloat16, which ONNX Runtime cannot compute with on a CPU.

    """
    file, net = exported.folder / FILE, exported.smallest
    if net.dtype == torch.bfloat16:
        raise UsageError(
            "--formats onnx: ONNX Runtime has no bfloat16 on a CPU; use --dtype float16 or float32."
        )
    with eager_attention(
        net
    ):  # a third fewer nodes: nothing guards against rows that are masked out
        program: Any = torch.onnx.export(
            Logits(net).eval(),
            (
                torch.zeros(2, *exported.images.shape[1:]),
            ),  # a batch of one would be taken for a constant
            dynamo=True,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes={INPUT: {0: torch.export.Dim("batch", min=1)}},
            verbose=False,
        )
    program.save(file)
    return {
        **agreement(exported.logits, Runtime(file)(exported.images)),
        "bytes": file.stat().st_size,
    }


class Runtime:
    """An ONNX model on the CPU.

    Args:
        file: The model.
        threads: Number of threads; that of torch by default.

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
