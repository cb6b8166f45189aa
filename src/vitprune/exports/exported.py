"""What every further format of an export is made from."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor
from transformers import PreTrainedModel

from vitprune.runs.run_folder import ExportFolder

if TYPE_CHECKING:  # needs the packages of the data module, which benchmarks do without
    from vitprune.exports.quantization import Quantization


@dataclass(frozen=True)
class Exported:
    """A pruned model, and what its formats are compared with.

    Attributes:
        net: The model in the folder, as plain `transformers` loads it; in evaluation mode.
        smallest: The same function with individual widths for each block; `net` itself if that
            saves nothing.
        images: Images to compare on, (B, channels, height, width), float32.
        logits: Logits of the pruned model on these images, (B, classes), float32.
        folder: Folder to write to.
        quantization: Images and the limit of int8 programs; None where there is no data.

    """

    net: PreTrainedModel
    smallest: PreTrainedModel
    images: Tensor
    logits: Tensor
    folder: ExportFolder
    quantization: "Quantization | None" = None

    def needed_quantization(self) -> "Quantization":
        """Return `quantization`, which int8 programs need."""
        if self.quantization is None:
            raise ValueError("int8 programs need data to calibrate and evaluate on")
        return self.quantization
