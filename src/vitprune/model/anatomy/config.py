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
        UsageError: If the configuration does not state it.

    """
    _, *sides = _of_timm(config, "pretrained_cfg").get("input_size") or (RGB,)
    of_vision = getattr(vision_config(config), "image_size", None)
    size: Any = _of_timm(config, "model_args").get("img_size") or sides or of_vision
    if not size:
        raise UsageError(
            f"the configuration of this {config.model_type} model does not state the size of its "
            "images. Give images, or an image processor."
        )
    height, width = size if isinstance(size, Sequence) else (size, size)
    return channels_of(config), height, width


def channels_of(config: PreTrainedConfig) -> int:
    """Return the number of channels of a model's images; 3 if the configuration has none."""
    own = getattr(vision_config(config), "num_channels", RGB)
    channels, *_ = _of_timm(config, "pretrained_cfg").get("input_size") or (own,)
    given: int = _of_timm(config, "model_args").get("in_chans", channels)
    return given


def _of_timm(config: PreTrainedConfig, name: str) -> dict[str, Any]:
    """Return a mapping in the configuration of a model of timm; empty for any other model."""
    return getattr(config, name, None) or {}
