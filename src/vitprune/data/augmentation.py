"""What training changes about an image at random: cropped by a worker, flipped and mixed by the device."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as vf
from transformers.image_processing_backends import TorchvisionBackend

from vitprune.data.decoding import EncodedImage
from vitprune.data.transforms import EvaluationTransform, output_size
from vitprune.errors import UsageError


@dataclass(frozen=True)
class Augmentation:
    """How a training image differs from the image in the file.

    Attributes:
        crop_scale: Smallest and largest share of the area that a random crop keeps, in (0, 1]; None
            for what evaluation sees.
        horizontal_flip: Flip every second image.
        randaugment: RandAugment operations, 0 for none (Cubuk et al. 2019).
        random_erasing: Probability of erasing a rectangle (Zhong et al. 2017).
        mixup: Alpha of Mixup, 0 for none (Zhang et al. 2017).
        cutmix: Alpha of CutMix, 0 for none (Yun et al. 2019).

    """

    crop_scale: tuple[float, float] | None
    horizontal_flip: bool
    randaugment: int
    random_erasing: float
    mixup: float
    cutmix: float

    def __post_init__(self) -> None:
        if self.crop_scale and not 0 < self.crop_scale[0] <= self.crop_scale[1] <= 1:
            raise UsageError(
                "data.crop_scale must be two rising numbers in (0, 1], not "
                f"{list(self.crop_scale)}."
            )
        if not 0 <= self.random_erasing <= 1:
            raise UsageError(
                f"data.random_erasing must be a probability in [0, 1], not {self.random_erasing}."
            )
        if min(self.mixup, self.cutmix, self.randaugment) < 0:
            raise UsageError("data.mixup, data.cutmix and data.randaugment must not be negative.")

    def mixing(self, classes: int) -> Callable | None:
        """Return what mixes images (B, 3, H, W) and labels (B,) into images and probabilities (B, classes), if anything."""
        mixes = [
            cls(alpha=alpha, num_classes=classes)
            for cls, alpha in ((v2.MixUp, self.mixup), (v2.CutMix, self.cutmix))
            if alpha
        ]
        return v2.RandomChoice(mixes) if mixes else None


class TrainingTransform:
    """Decode what a random crop needs, resize it to what the model sees, and augment it.

    Args:
        processor: Gives the size and the interpolation.
        augmentation: How much of everything.

    """

    def __init__(self, processor: TorchvisionBackend, augmentation: Augmentation) -> None:
        self.size = output_size(processor)
        self.interpolation = (
            v2.InterpolationMode.BILINEAR
            if processor.resample == 2
            else v2.InterpolationMode.BICUBIC
        )
        self.whole = EvaluationTransform(processor)
        self.crop = (
            v2.RandomResizedCrop(self.size, scale=augmentation.crop_scale)
            if augmentation.crop_scale
            else None
        )
        self.flip = augmentation.horizontal_flip
        self.further: list[Callable[[Tensor], Tensor]] = []
        if augmentation.randaugment:
            self.further.append(v2.RandAugment(num_ops=augmentation.randaugment))
        if augmentation.random_erasing:
            self.further.append(v2.RandomErasing(p=augmentation.random_erasing))

    def __call__(self, image: EncodedImage) -> dict[str, Tensor]:
        """Return `pixel_values`, uint8 (3, H, W), and where images are flipped `flip`, whether the device should, bool ()."""
        pixels = self._cropped(image, self.crop) if self.crop else self.whole(image)["pixel_values"]
        for step in self.further:
            pixels = step(pixels)
        return {"pixel_values": pixels, **({"flip": torch.rand(()) < 0.5} if self.flip else {})}

    def _cropped(self, image: EncodedImage, crop: v2.RandomResizedCrop) -> Tensor:
        """Draw the crop before anything is decoded: a large one need not be decoded at its full resolution."""
        box = crop.make_params([torch.empty(1, image.height, image.width, device="meta")])
        pixels = image.decode_smaller(
            min(box["height"] / self.size[0], box["width"] / self.size[1])
        )
        down, across = pixels.shape[1] / image.height, pixels.shape[2] / image.width
        top, left = int(box["top"] * down), int(box["left"] * across)
        cropped = pixels[
            :, top : top + round(box["height"] * down), left : left + round(box["width"] * across)
        ]
        return vf.resize(cropped, list(self.size), self.interpolation, antialias=True)


def flip_where(images: Tensor, flip: Tensor) -> Tensor:
    """Mirror some images of a batch, (B, 3, H, W), from left to right: those where `flip`, bool (B,), is true."""
    return torch.where(flip[:, None, None, None], images.flip(-1), images)
