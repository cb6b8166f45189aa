"""What happens to an image between its file and the model.

Workers decode, resize and crop to uint8; the device normalises. Evaluation uses the model's own image processor for all
of it, so that a number scored here is the number that plain `transformers` gives.
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as vf
from transformers import AutoImageProcessor
from transformers.image_processing_backends import TorchvisionBackend

from vitprune.assets import resolve_pretrained
from vitprune.errors import UsageError


def load_processor(
    pretrained: str,
    image_size: int | None = None,
    mean: list[float] | None = None,
    std: list[float] | None = None,
) -> TorchvisionBackend:
    """Load the image processor of a pretrained model; what is given explicitly replaces what the model says.

    Args:
        pretrained: Hub name, folder or embedded asset of the model.
        image_size: Side of the square that the model sees, in pixels.
        mean: Mean per channel, of values in [0, 1].
        std: Standard deviation per channel, of values in [0, 1].

    """
    given: dict[str, Any] = {"image_mean": mean, "image_std": std}
    if image_size:
        square = {"height": image_size, "width": image_size}
        given |= {"size": square, "crop_size": square}
    try:
        return AutoImageProcessor.from_pretrained(
            resolve_pretrained(pretrained), **{key: value for key, value in given.items() if value is not None}
        )
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{pretrained!r} has no image processor (preprocessor_config.json), or cannot be reached: set data.processor "
            "to a model that has one."
        ) from error


def decode(image: dict) -> Image.Image:
    """Decode an undecoded `datasets` image, upright (EXIF) and in RGB.

    Raises:
        OSError: If the bytes are no complete image.

    """
    stream = io.BytesIO(image["bytes"]) if image["bytes"] is not None else Path(image["path"])
    with Image.open(stream) as opened:
        return ImageOps.exif_transpose(opened).convert("RGB")


def evaluation_transform(processor: TorchvisionBackend) -> Callable[[Image.Image], Tensor]:
    """Return what the processor does up to the normalisation: image -> uint8 (3, H, W)."""

    def transform(image: Image.Image) -> Tensor:
        return processor(image, do_rescale=False, do_normalize=False, return_tensors="pt")["pixel_values"][0]

    return transform


def training_transform(
    processor: TorchvisionBackend,
    crop_scale: tuple[float, float],
    horizontal_flip: bool,
    randaugment: int,
    random_erasing: float,
) -> Callable[[Image.Image], Tensor]:
    """Return a random crop, resized to what the model sees, and further augmentation: image -> uint8 (3, H, W).

    Args:
        processor: Gives the size and the interpolation.
        crop_scale: Smallest and largest share of the area that a crop keeps, in (0, 1].
        horizontal_flip: Flip every second image.
        randaugment: Number of RandAugment operations, 0 for none (Cubuk et al. 2019).
        random_erasing: Probability of erasing a rectangle (Zhong et al. 2017).

    """
    interpolation = v2.InterpolationMode.BILINEAR if processor.resample == 2 else v2.InterpolationMode.BICUBIC
    steps: list[Callable] = [
        vf.pil_to_tensor,
        v2.RandomResizedCrop(output_size(processor), scale=crop_scale, interpolation=interpolation, antialias=True),
    ]
    if horizontal_flip:
        steps.append(v2.RandomHorizontalFlip())
    if randaugment:
        steps.append(v2.RandAugment(num_ops=randaugment))
    if random_erasing:
        steps.append(v2.RandomErasing(p=random_erasing))
    return v2.Compose(steps)


def output_size(processor: TorchvisionBackend) -> tuple[int, int]:
    """Height and width, in pixels, of what the processor hands to the model."""
    size = processor.crop_size if processor.do_center_crop else processor.size
    return (size["height"], size["width"]) if size["height"] else (size["shortest_edge"],) * 2


def normalise(images: Tensor, processor: TorchvisionBackend) -> Tensor:
    """Rescale and normalise a batch on its device: uint8 (B, 3, H, W) -> float32, as the processor would."""
    return processor.rescale_and_normalize(
        images,
        processor.do_rescale,
        processor.rescale_factor,
        processor.do_normalize,
        processor.image_mean,
        processor.image_std,
    )


class KeyedRandomness:
    """Run a block with torch's CPU generator set by a key, and leave the generator as it was found."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __enter__(self) -> None:
        self.state = torch.get_rng_state()
        torch.default_generator.manual_seed(self.seed)

    def __exit__(self, *_: object) -> None:
        torch.set_rng_state(self.state)
