"""How configurations of `transformers` describe a vision model."""

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedConfig

from vitprune.errors import UsageError

RGB = 3


def vision_config(config: PreTrainedConfig) -> PreTrainedConfig:
    """Return the part of a configuration about images; image-text models (CLIP) nest it."""
    return getattr(config, "vision_config", config)


def image_shape(config: PreTrainedConfig) -> tuple[int, int, int]:
    """Return the shape of the images of a model, (channels, height, width).

    Raises:
        UsageError: If the configuration does not say it.

    """
    vision = vision_config(config)
    of_timm = getattr(config, "pretrained_cfg", None) or {}
    arguments = getattr(config, "model_args", None) or {}
    channels, *sides = of_timm.get("input_size") or (getattr(vision, "num_channels", RGB),)
    size: Any = arguments.get("img_size") or sides or getattr(vision, "image_size", None)
    if not size:
        raise UsageError(
            f"the configuration of this {config.model_type} model does not state the size of its "
            "images. Give images, or an image processor."
        )
    height, width = size if isinstance(size, Sequence) else (size, size)
    return arguments.get("in_chans") or channels, height, width
