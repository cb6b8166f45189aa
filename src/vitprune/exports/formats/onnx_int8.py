"""An ONNX model in int8, quantized by `onnxruntime.quantization`. Needs the extra `onnx`."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from torch import Tensor

from vitprune.exports import onnx
from vitprune.exports.formats.format import Run
from vitprune.exports.formats.int8 import Int8
from vitprune.exports.formats.onnx import ONNX
from vitprune.runs.run_folder import ExportFolder

BATCH_SIZE = 16
QUANTIZED = ["Conv", "Gemm", "MatMul"]  # with constant weights; more operators cost accuracy


class ONNXInt8(Int8):
    """An ONNX model in int8.

    `static` has the ranges of activations from the calibration images (QDQ), `dynamic` measures
    them in each run.
    """

    name = "onnx_int8"
    title = "ONNX Runtime, int8"
    runtime = "onnx"
    source = ONNX()
    methods = ("static", "dynamic")
    usage = """\
The same in int8 is in `model.int8.onnx`.

"""

    def files(self, folder: ExportFolder) -> tuple[Path, ...]:
        """Return the ONNX file."""
        return (folder.onnx_int8,)

    def load(self, file: Path) -> Run:
        """Return an ONNX model as a function."""
        return onnx.Runtime(file)

    def quantize(self, method: str, source: Path, images: Tensor, target: ExportFolder) -> None:
        """Quantize an ONNX model, after ONNX Runtime has inferred the shapes in it."""
        from onnxruntime import quantization as ort  # an extra
        from onnxruntime.quantization.shape_inference import quant_pre_process

        (file,) = self.files(target)
        prepared = file.with_name("prepared.onnx")
        with _quiet():
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
            if method == "dynamic":
                ort.quantize_dynamic(
                    prepared, file, per_channel=True, op_types_to_quantize=["Gemm", "MatMul"]
                )
                return
            ort.quantize_static(
                prepared,
                file,
                _Reader(images),
                per_channel=True,
                op_types_to_quantize=QUANTIZED,
                activation_type=ort.QuantType.QUInt8,
                weight_type=ort.QuantType.QInt8,
                extra_options={"MatMulConstBOnly": True},
            )


class _Reader:
    """Calibration images as `onnxruntime.quantization` reads them, a batch at a time."""

    def __init__(self, images: Tensor) -> None:
        self._batches = iter(images.split(BATCH_SIZE))

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next batch; None at the end."""
        batch = next(self._batches, None)
        return None if batch is None else {onnx.INPUT: batch.numpy()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the advice that `onnxruntime.quantization` gives to the root logger."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
