"""Checks that an export is the pruned model: the same logits, the same number of zeros."""

from dataclasses import dataclass

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import AutoModelForImageClassification, PreTrainedModel

from vitprune.exports.shrinking.stream import load_narrow, save
from vitprune.model.trial import trial
from vitprune.runs.format_report import FormatReport, Verification
from vitprune.runs.run_folder import ExportFolder

TOLERANCE = 1e-5  # of logits in float32


@dataclass(frozen=True)
class Reference:
    """The pruned model, as an export must reproduce it.

    Attributes:
        images: Images to compare on, (B, channels, height, width), float32.
        logits: Logits of the pruned model on these images, (B, classes).

    """

    images: Tensor
    logits: Tensor


@torch.no_grad()
def logits(net: PreTrainedModel, images: Tensor) -> Tensor:
    """Return the logits in evaluation mode, (B, classes)."""
    with trial(net):
        return net(pixel_values=images).logits


def save_and_verify(
    net: PreTrainedModel, folder: ExportFolder, reference: Reference, tolerance: float
) -> tuple[PreTrainedModel, Verification]:
    """Save a model, load it in float32, and compare its logits.

    Plain `transformers` loads it, unless it has fewer channels than its configuration can express.

    Args:
        net: Model to save, in the type to store.
        folder: Folder to write to.
        reference: The pruned model.
        tolerance: Largest allowed difference of a logit, relative to the largest logit if that is
            above 1; 0 for bitwise equality, infinity to only measure it.

    Returns:
        The loaded model and the comparison.

    Raises:
        RuntimeError: If the logits differ by more than the tolerance.

    """
    save(net, folder)
    loaded = load_narrow(folder)
    if loaded is None:
        loaded = AutoModelForImageClassification.from_pretrained(folder.path, dtype=torch.float32)
    loaded.float()
    # A mapped file is not aligned like allocated memory, which changes the last bit of results.
    for parameter in loaded.parameters():
        parameter.data = parameter.data.clone()
    difference = largest_difference(reference.logits, logits(loaded, reference.images), tolerance)
    return loaded, Verification(difference, count_zeros(folder, loaded), len(reference.images))


def largest_difference(expected: Tensor, actual: Tensor, tolerance: float) -> float:
    """Return the largest difference of two sets of logits, (B, classes).

    Raises:
        RuntimeError: If it is NaN or above the tolerance; see `save_and_verify`.

    """
    difference = float((actual - expected).abs().max())
    if not difference <= tolerance * max(1.0, float(expected.abs().max())):
        raise RuntimeError(
            f"the exported model differs from the pruned one: logits by {difference}. Nothing was "
            "exported."
        )
    return difference


def count_zeros(folder: ExportFolder, loaded: PreTrainedModel) -> int:
    """Return the number of exact zeros among the stored parameters.

    Args:
        folder: Folder with the weights.
        loaded: The model loaded from it, which tells its parameters from its buffers.

    """
    parameters = dict(loaded.named_parameters())  # the file may use other names
    buffers = [value for name, value in loaded.state_dict().items() if name not in parameters]
    with safe_open(folder.weights, framework="pt") as tensors:
        names = list(tensors.keys())  # the file itself is not iterable
        zeros = sum(int((tensors.get_tensor(name) == 0).sum()) for name in names)
    return zeros - sum(int((value == 0).sum()) for value in buffers)


def compare(expected: Tensor, actual: Tensor) -> FormatReport:
    """Compare two sets of logits, (B, classes), of the same images."""
    same_class = actual.argmax(dim=1) == expected.argmax(dim=1)
    return FormatReport(
        largest_logit_difference=float((actual - expected).abs().max()),
        top1_agreement=float(same_class.float().mean()),
        images=len(expected),
    )
