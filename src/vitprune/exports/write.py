"""Shrink a pruned model, and store the weights; logits are compared after each step."""

import math
from dataclasses import dataclass

from torch import Tensor
from transformers import PreTrainedModel

from vitprune.errors import UsageError
from vitprune.exports.choices import DTYPES, Choices
from vitprune.exports.exported import Exported
from vitprune.exports.shrinking.shrinkage import shrink_and_verify
from vitprune.exports.shrinking.stream import pruned_channels
from vitprune.exports.verify import TOLERANCE, Reference, logits, save_and_verify
from vitprune.runs.format_report import Verification
from vitprune.runs.run_folder import ExportFolder
from vitprune.runs.shrink_report import ShrinkReport


@dataclass(frozen=True)
class Written:
    """Stored weights.

    Attributes:
        exported: The stored model, for further formats.
        loaded: The folder loaded by plain `transformers`, in float32.
        verification: How `loaded` compares with the pruned model.
        shrunk: What was removed, and which zeros stayed.
        base_bytes: Size of the weights in float32 with nothing removed.

    """

    exported: Exported
    loaded: PreTrainedModel
    verification: Verification
    shrunk: ShrinkReport
    base_bytes: int


def write_weights(
    net: PreTrainedModel, zeros: int, folder: ExportFolder, images: Tensor, choices: Choices
) -> Written:
    """Store a model, then replace it by the shrunk one with the same logits.

    Args:
        net: Pruned model in float32 and evaluation mode.
        zeros: Number of zeros among its parameters.
        folder: Folder to write to.
        images: Images to compare on, (B, channels, height, width), float32.
        choices: Shrinking and type of the weights.

    Raises:
        UsageError: If `choices.shrink` is `required` and zeroed structure stays.
        RuntimeError: If logits or zeros are not those of the pruned model.

    """
    reference = Reference(images, logits(net, images))
    is_narrow = pruned_channels(net) is not None  # as plain loading cannot compute it
    if is_narrow and choices.shrink == "off":
        raise UsageError(
            "--shrink off: pruned channels of the residual stream must be removed, because a "
            "LayerNorm of plain transformers normalises over all channels. Leave it out."
        )
    tolerance = math.inf if is_narrow else 0.0
    loaded, verification = save_and_verify(net, folder, reference, tolerance)
    _check_zeros(verification.zeros_in_file, zeros)
    base_bytes = folder.weights.stat().st_size

    shrunk = shrink_and_verify(net, choices.shrink, images)
    small, smallest = shrunk.net, shrunk.smallest
    if small is not net:
        loaded, verification = save_and_verify(small, folder, reference, TOLERANCE)

    if choices.dtype != "float32":
        smallest.to(DTYPES[choices.dtype])
        small.to(DTYPES[choices.dtype])
        loaded, verification = save_and_verify(small, folder, reference, tolerance=math.inf)

    exported = Exported(small, smallest, images, reference.logits, folder)
    return Written(exported, loaded, verification, shrunk.report, base_bytes)


def _check_zeros(found: int, expected: int) -> None:
    if found != expected:
        raise RuntimeError(
            f"the file has {found} zeros, the pruned model {expected}. Nothing was exported."
        )
