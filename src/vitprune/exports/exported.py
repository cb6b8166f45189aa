"""What every further format of an export is made from."""

from dataclasses import dataclass

from torch import Tensor
from transformers import PreTrainedModel

from vitprune.runs.run_folder import ExportFolder


@dataclass(frozen=True)
class Exported:
    """A model whose masks are removed, and what its formats are compared with.

    Attributes:
        net: The model in the folder, as plain `transformers` loads it; in evaluation mode.
        smallest: The same function with individual widths for each block; `net` itself if that
            saves nothing.
        images: Images to compare on, (B, channels, height, width), float32.
        logits: Logits of the pruned model on these images, (B, classes), float32.
        folder: Folder to write to.

    """

    net: PreTrainedModel
    smallest: PreTrainedModel
    images: Tensor
    logits: Tensor
    folder: ExportFolder
