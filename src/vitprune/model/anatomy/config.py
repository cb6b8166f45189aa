"""How configurations of `transformers` describe a vision model."""

from transformers import PreTrainedConfig


def vision_config(config: PreTrainedConfig) -> PreTrainedConfig:
    """Return the part of a configuration about images; image-text models (CLIP) nest it."""
    return getattr(config, "vision_config", config)


def image_shape(config: PreTrainedConfig) -> tuple[int, int, int]:
    """Return the shape of the images of a model, (channels, height, width)."""
    vision = vision_config(config)
    size = vision.image_size
    height, width = size if isinstance(size, list | tuple) else (size, size)
    return vision.num_channels, height, width
