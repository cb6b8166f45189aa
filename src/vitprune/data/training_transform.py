"""What a data worker does to a training image: random crop, RandAugment, random erasing."""

from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as vf
from transformers.image_processing_backends import TorchvisionBackend

from vitprune.data.augmentation import Augmentation
from vitprune.data.decoding import EncodedImage
from vitprune.data.evaluation_transform import EvaluationTransform
from vitprune.data.processor import output_size

BILINEAR = 2  # PIL's number for it, which image processors use


class TrainingTransform:
    """Crop, resize and augment a training image.

    Args:
        processor: Image processor that gives the size and the interpolation.
        augmentation: Random changes to apply.

    """

    def __init__(self, processor: TorchvisionBackend, augmentation: Augmentation) -> None:
        self.size = output_size(processor)
        self.interpolation = v2.InterpolationMode.BICUBIC
        if processor.resample == BILINEAR:
            self.interpolation = v2.InterpolationMode.BILINEAR
        self.whole = EvaluationTransform(processor)
        self.crop: v2.RandomResizedCrop | None = None
        if augmentation.crop_scale:
            self.crop = v2.RandomResizedCrop(self.size, scale=augmentation.crop_scale)
        self.flip = augmentation.horizontal_flip
        self.further: list[Callable[[Tensor], Tensor]] = []
        if augmentation.randaugment:
            self.further.append(v2.RandAugment(num_ops=augmentation.randaugment))
        if augmentation.random_erasing:
            self.further.append(v2.RandomErasing(p=augmentation.random_erasing))

    def __call__(self, image: EncodedImage) -> dict[str, Tensor]:
        """Return the augmented image.

        Returns:
            `pixel_values`, uint8 (3, H, W), and with flips `flip`, bool (): whether `flip_where`
            should mirror the image on the device.

        """
        pixels = self._cropped(image, self.crop) if self.crop else self.whole(image)["pixel_values"]
        for step in self.further:
            pixels = step(pixels)
        sample = {"pixel_values": pixels}
        if self.flip:
            sample["flip"] = torch.rand(()) < 0.5
        return sample

    def _cropped(self, image: EncodedImage, crop: v2.RandomResizedCrop) -> Tensor:
        """Draw the crop before decoding: a large one need not be decoded at full resolution."""
        box = crop.make_params([torch.empty(1, image.height, image.width, device="meta")])
        pixels = image.decode_smaller(
            min(box["height"] / self.size[0], box["width"] / self.size[1])
        )
        down = pixels.shape[1] / image.height
        across = pixels.shape[2] / image.width
        top = int(box["top"] * down)
        left = int(box["left"] * across)
        bottom = top + round(box["height"] * down)
        right = left + round(box["width"] * across)
        cropped = pixels[:, top:bottom, left:right]
        return vf.resize(cropped, list(self.size), self.interpolation, antialias=True)


def flip_where(images: Tensor, flip: Tensor) -> Tensor:
    """Mirror the images of a batch, (B, 3, H, W), for which `flip`, bool (B,), is true."""
    return torch.where(flip[:, None, None, None], images.flip(-1), images)
