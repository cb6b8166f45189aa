"""The proof that what is in a folder is the masked model."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import PreTrainedModel

TOLERANCE = 1e-5  # of logits in float32
PROOF_IMAGES = 4  # in float64, which is slow


@dataclass(frozen=True)
class Verification:
    """How an exported model compares with the masked one.

    Attributes:
        largest_logit_difference: Between the masked model and the folder loaded by plain
            `transformers`; 0 if only the masks were removed.
        zeros_in_file: Exact zeros among the parameters in `model.safetensors`.
        images: Number of validation images compared.

    """

    largest_logit_difference: float
    zeros_in_file: int
    images: int


@torch.no_grad()
def logits(net: PreTrainedModel, images: Tensor) -> Tensor:
    """Return the logits, (B, classes)."""
    return net(pixel_values=images).logits


def verify(
    before: Tensor, loaded: PreTrainedModel, images: Tensor, file: Path, tolerance: float
) -> Verification:
    """Compare a folder with the masked model.

    Args:
        before: Logits of the masked model, (B, classes).
        loaded: The folder, loaded by plain `transformers`.
        images: (B, channels, height, width).
        file: Its `model.safetensors`.
        tolerance: By how much a logit may differ, relative to the largest logit where that is above
            1; 0 for bitwise equality.

    Raises:
        RuntimeError: If the logits differ by more.

    """
    for parameter in (
        loaded.parameters()
    ):  # a mapped file is not aligned like fresh memory, which moves the last bit
        parameter.data = parameter.data.clone()
    difference = float((logits(loaded, images) - before).abs().max())
    if difference > tolerance * max(1.0, float(before.abs().max())) or math.isnan(difference):
        raise RuntimeError(
            f"the exported model differs from the masked one: logits by {difference}. Nothing was "
            "exported."
        )
    return Verification(difference, count_zeros(file, loaded), len(images))


def count_zeros(file: Path, loaded: PreTrainedModel) -> int:
    """Return the number of exact zeros among the parameters in a safetensors file, which a model was loaded from."""
    parameters = dict(loaded.named_parameters())  # whose names in the file may be others
    buffers = [value for name, value in loaded.state_dict().items() if name not in parameters]
    with safe_open(file, framework="pt") as tensors:
        zeros = sum(int((tensors.get_tensor(name) == 0).sum()) for name in tensors.keys())  # noqa: SIM118
    return zeros - sum(int((value == 0).sum()) for value in buffers)


def agreement(before: Tensor, after: Tensor) -> dict[str, float]:
    """Return how two sets of logits, (B, classes), of the same images compare."""
    return {
        "largest_logit_difference": float((after - before).abs().max()),
        "top1_agreement": float((after.argmax(dim=1) == before.argmax(dim=1)).float().mean()),
        "images": len(before),
    }
