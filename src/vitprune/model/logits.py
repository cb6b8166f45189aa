"""An image classifier as a function from images to logits."""

from torch import Tensor, nn
from transformers import PreTrainedModel


class Logits(nn.Module):
    """A Hugging Face image classifier with nothing but images in its signature."""

    def __init__(self, net: PreTrainedModel) -> None:
        super().__init__()
        self.net = net

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Return logits, (B, classes), float32, of images, (B, channels, height, width)."""
        return self.net(pixel_values=pixel_values.to(self.net.dtype)).logits.float()
