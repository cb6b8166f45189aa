"""What every format starts from."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn
from transformers import PreTrainedModel


@dataclass(frozen=True)
class Exported:
    """A model that is about to leave.

    Attributes:
        net: As plain `transformers` loads it, in evaluation mode.
        smallest: The same with widths of its own in each block; the same object if that saves
            nothing.
        images: Validation images to compare on, (B, channels, height, width), float32.
        logits: What the masked model gives for them, (B, classes), float32.
        folder: Where to write.

    """

    net: PreTrainedModel
    smallest: PreTrainedModel
    images: Tensor
    logits: Tensor
    folder: Path


class Logits(nn.Module):
    """A model from images to logits, with nothing else in its signature."""

    def __init__(self, net: PreTrainedModel) -> None:
        super().__init__()
        self.net = net

    def forward(self, pixel_values: Tensor) -> Tensor:
        """(B, channels, height, width) -> (B, classes), float32."""
        return self.net(pixel_values=pixel_values.to(self.net.dtype)).logits.float()
