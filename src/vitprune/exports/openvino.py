"""OpenVINO models: conversion, and the runtime on a CPU. Needs the extra `openvino`."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram

from vitprune.runs.write_errors import naming

INPUT = "pixel_values"
OUTPUT = "logits"


def convert(program: ExportedProgram, file: Path, image_shape: Sequence[int]) -> None:
    """Write a program as an OpenVINO model with weights in float16, for any batch size.

    Args:
        program: Program of `torch.export`.
        file: XML file to write; the weights are in a file beside it.
        image_shape: (channels, height, width).

    """
    import openvino  # an extra

    model = openvino.convert_model(program)
    model.reshape([-1, *image_shape])
    model.inputs[0].get_tensor().set_names({INPUT})
    model.outputs[0].get_tensor().set_names({OUTPUT})
    with naming(file):
        openvino.save_model(model, file, compress_to_fp16=True)


class Runtime:
    """An OpenVINO model on the CPU; the number of threads is that of torch.

    Args:
        file: XML file.

    """

    def __init__(self, file: Path) -> None:
        import openvino  # an extra

        # float32, as bfloat16 would be used where a CPU has it
        settings = {
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "INFERENCE_PRECISION_HINT": "f32",
        }
        self.model = openvino.Core().compile_model(str(file), "CPU", settings)

    def __call__(self, images: Tensor) -> Tensor:
        """(B, channels, height, width) -> (B, classes)."""
        logits = self.model([images.numpy()])[OUTPUT]
        return torch.from_numpy(logits.copy())  # the next run overwrites it
