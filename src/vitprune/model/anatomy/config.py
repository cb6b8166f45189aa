"""How configurations of `transformers` describe a vision model."""

from transformers import PreTrainedConfig


def vision_config(config: PreTrainedConfig) -> PreTrainedConfig:
    """Return the part of a configuration about images; image-text models (CLIP) nest it."""
    return getattr(config, "vision_config", config)
