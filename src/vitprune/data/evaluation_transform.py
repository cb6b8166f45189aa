"""What a data worker does to an image for evaluation: the model's own resize and crop.

Workers resize and crop to uint8, and the device normalises. Both follow the model's own image
processor, so that plain `transformers` reproduces every accuracy that this project reports.
"""

from torch import Tensor
from transformers.image_processing_backends import TorchvisionBackend

from vitprune.data.decoding import EncodedImage


class EvaluationTransform:
    """Apply an image processor without its rescaling and normalization.

    Args:
        processor: Image processor of the model.

    """

    def __init__(self, processor: TorchvisionBackend) -> None:
        self.processor = processor

    def __call__(self, image: EncodedImage) -> dict[str, Tensor]:
        """Return `pixel_values`, uint8 (3, H, W)."""
        done = self.processor(
            image.decode(), do_rescale=False, do_normalize=False, return_tensors="pt"
        )
        return {"pixel_values": done["pixel_values"][0]}
