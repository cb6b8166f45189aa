"""Image processors of models: size, crop, interpolation, mean and std."""

from dataclasses import dataclass
from functools import partial
from textwrap import shorten
from typing import Any

from torch import Tensor
from transformers import AutoImageProcessor
from transformers.image_processing_backends import TorchvisionBackend

from vitprune.data.timm_processor import timm_processor
from vitprune.errors import UsageError
from vitprune.model.names import resolve_pretrained
from vitprune.model.timm import timm_settings
from vitprune.model.trial import first_line

LONGEST_REASON = 200  # characters; transformers lists all its families


@dataclass(frozen=True)
class Normalization:
    """Normalization of images; by default the image processor's.

    Args:
        mean: Mean per channel of pixel values in [0, 1].
        std: Standard deviation per channel of pixel values in [0, 1].

    """

    mean: list[float] | None = None
    std: list[float] | None = None


def load_processor(
    pretrained: str,
    image_size: int | None = None,
    normalization: Normalization = Normalization(),
) -> TorchvisionBackend:
    """Load the image processor of a pretrained model; explicit settings override its own.

    Args:
        pretrained: Hub name, folder or embedded asset of the model.
        image_size: Height and width of the model's input, in pixels. A processor that crops
            resizes in proportion before.
        normalization: Mean and std per channel.

    Raises:
        UsageError: If the model has no image processor, or cannot be downloaded.

    """
    given: dict[str, Any] = {
        "image_mean": normalization.mean,
        "image_std": normalization.std,
        "do_convert_rgb": True,  # greyscale images are accepted as well
    }
    source = resolve_pretrained(pretrained)
    if pretrained_cfg := _of_timm(source):
        return timm_processor(pretrained_cfg, image_size, normalization.mean, normalization.std)
    load = partial(AutoImageProcessor.from_pretrained, source)
    try:
        if image_size:
            given |= _sizes(load(), image_size)
        return load(**{key: value for key, value in given.items() if value is not None})
    except (OSError, ValueError) as error:
        reason = shorten(first_line(error), LONGEST_REASON)
        raise UsageError(
            f"{pretrained!r} has no image processor (preprocessor_config.json) that can be loaded: "
            f"{reason}. Set data.processor to a model that has one."
        ) from error


def _of_timm(source: str) -> dict[str, Any] | None:
    """Return the image settings of a model of timm; None for any other model."""
    try:
        settings = timm_settings(source)
    except OSError:  # the folder has an image processor only, or the model does not exist
        return None
    return settings and settings.get("pretrained_cfg")


def _sizes(processor: TorchvisionBackend, side: int) -> dict[str, dict[str, int]]:
    """Return the settings with which a processor makes squares of `side` pixels."""
    square = {"height": side, "width": side}
    if not processor.do_center_crop:
        return {"size": square}
    scale = side / output_size(processor)[0]
    sizes = processor.to_dict()["size"].items()
    return {
        "size": {name: round(scale * pixels) for name, pixels in sizes},
        "crop_size": square,
    }


def output_size(processor: TorchvisionBackend) -> tuple[int, int]:
    """Return height and width of the model's input, in pixels."""
    size = processor.crop_size if processor.do_center_crop else processor.size
    return (size["height"], size["width"]) if size["height"] else (size["shortest_edge"],) * 2


def normalise(images: Tensor, processor: TorchvisionBackend) -> Tensor:
    """Rescale and normalise a batch on its device, uint8 (B, 3, H, W) to float32."""
    return processor.rescale_and_normalize(
        images,
        processor.do_rescale,
        processor.rescale_factor,
        processor.do_normalize,
        processor.image_mean,
        processor.image_std,
    )
