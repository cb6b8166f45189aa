"""ONNX models: conversion, and ONNX Runtime on a CPU. Needs the extra `onnx`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from vitprune.exports.attention import eager_attention
from vitprune.model.logits import Logits

INPUT = "pixel_values"
OUTPUT = "logits"


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
