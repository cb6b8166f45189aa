"""Pretrained backbones without an image classifier in `transformers`: loaded into one."""

import torch
from transformers import (
    MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForImageClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from vitprune.model.backbones import CLASSIFIERS

# vision towers, and the family whose image classifier contains one as `vision_model`
TOWERS = {
    "clip_vision_model": "clip",
    "siglip_vision_model": "siglip",
}


def is_headless(config: PreTrainedConfig) -> bool:
    """Return whether a folder with this configuration holds a backbone without a classifier.

    Raises:
        ValueError: If there is no classifier for such a model.

    """
    if config.model_type in TOWERS:
        return True
    if type(config) not in MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING:
        raise ValueError(
            f"transformers has no image classifier for models of type {config.model_type}"
        )
    own = next((one for one in CLASSIFIERS if one.config_class is type(config)), None)
    return own is not None and own.__name__ not in (config.architectures or ())


def load_headless(source: str, config: PreTrainedConfig) -> PreTrainedModel:
    """Load a backbone into an image classifier with a new head, in float32.

    Args:
        source: Hub name or folder of the backbone.
        config: Its configuration, with the classes of the new head.

    Raises:
        ValueError: If weights of the backbone are missing.

    """
    body, found = AutoModel.from_pretrained(source, dtype=torch.float32, output_loading_info=True)
    lost = sorted({*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])})
    if lost:
        raise ValueError(f"missing weights, or of another shape: {len(lost)}, such as {lost[0]}")
    whole = AutoModelForImageClassification.from_config(_with_classifier(config)).float()
    body_of(whole).load_state_dict(body.state_dict())
    return whole


def body_of(net: PreTrainedModel) -> PreTrainedModel:
    """Return the backbone of an image classifier."""
    is_tower = net.config.model_type in TOWERS.values()
    body = net.get_submodule("vision_model" if is_tower else net.base_model_prefix)
    assert isinstance(body, PreTrainedModel)
    return body


def _with_classifier(config: PreTrainedConfig) -> PreTrainedConfig:
    """Return the configuration of the classifier."""
    if config.model_type not in TOWERS:
        config.architectures = None
        return config
    classes = {"id2label": config.id2label, "label2id": config.label2id}
    family = TOWERS[config.model_type]
    return AutoConfig.for_model(family, vision_config=config.to_dict(), **classes)
