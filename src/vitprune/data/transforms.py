"""What happens to an image between its pixels and the model.

Workers resize and crop to uint8; the device normalises. Evaluation uses the model's own image
processor for all of it, so that a number scored here is the number that plain `transformers` gives.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import AutoImageProcessor
from transformers.image_processing_backends import TorchvisionBackend

from vitprune.assets import resolve_pretrained
from vitprune.data.decoding import EncodedImage
from vitprune.errors import UsageError


def load_processor(
    pretrained: str,
    image_size: int | None = None,
    mean: list[float] | None = None,
    std: list[float] | None = None,
) -> TorchvisionBackend:
    """Load the image processor of a pretrained model; what is given explicitly replaces what the
    model says.

    Args:
        pretrained: Hub name, folder or embedded asset of the model.
        image_size: Side of the square that the model sees, in pixels; what a processor crops, it
            resizes in proportion before.
        mean: Mean per channel, of values in [0, 1].
        std: Standard deviation per channel, of values in [0, 1].

    """
    given: dict[str, Any] = {
        "image_mean": mean,
        "image_std": std,
        "do_convert_rgb": True,
    }  # grey images are read as well
    load = partial(AutoImageProcessor.from_pretrained, resolve_pretrained(pretrained))
    try:
        if image_size:
            given |= _sizes(load(), image_size)
        return load(**{key: value for key, value in given.items() if value is not None})
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{pretrained!r} has no image processor (preprocessor_config.json), or cannot be "
            "reached: set data.processor to a model that has one."
        ) from error


def _sizes(processor: TorchvisionBackend, side: int) -> dict[str, dict[str, int]]:
    """Return the settings with which a processor makes squares of another side, in pixels."""
    square = {"height": side, "width": side}
    if not processor.do_center_crop:
        return {"size": square}
    scale = side / output_size(processor)[0]
    return {
        "size": {
            name: round(scale * pixels) for name, pixels in processor.to_dict()["size"].items()
        },
        "crop_size": square,
    }


class EvaluationTransform:
    """What the processor does up to the normalisation.

    Args:
        processor: Does it.

    """

    def __init__(self, processor: TorchvisionBackend) -> None:
        self.processor = processor

    def __call__(self, image: EncodedImage) -> dict[str, Tensor]:
        """Return `pixel_values`, uint8 (3, H, W)."""
        done = self.processor(
            image.decode(), do_rescale=False, do_normalize=False, return_tensors="pt"
        )
        return {"pixel_values": done["pixel_values"][0]}


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
