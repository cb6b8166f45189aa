"""Image classifiers for backbones without one in `transformers`: a linear head on their output.

This file imports nothing from this project: an export contains a copy of it, with which
`AutoModelForImageClassification.from_pretrained(FOLDER, trust_remote_code=True)` loads the model.
"""

from typing import Any

from torch import Tensor, nn
from transformers import (
    MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING,
    Aimv2VisionConfig,
    AutoModel,
    DINOv3ConvNextConfig,
    DINOv3ViTConfig,
    MLCDVisionConfig,
    PixioConfig,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import ImageClassifierOutput


class BackboneForImageClassification(PreTrainedModel):
    """A backbone, and a linear layer on its pooled output.

    If the backbone has no pooled output, the head reads the mean of the tokens.
    """

    base_model_prefix = "backbone"
    main_input_name = "pixel_values"
    supports_gradient_checkpointing = True
    _supports_sdpa = True

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.backbone = AutoModel.from_config(config)
        width = getattr(config, "hidden_size", None) or config.hidden_sizes[-1]
        self.classifier = nn.Linear(width, config.num_labels)
        self.post_init()

    def forward(self, pixel_values: Tensor, **options: Any) -> ImageClassifierOutput:
        """Return logits, (B, classes), of images, (B, channels, height, width)."""
        outputs = self.backbone(pixel_values, **options)
        pooled = getattr(outputs, "pooler_output", None)
        if pooled is None:
            pooled = outputs.last_hidden_state.mean(dim=1)
        return ImageClassifierOutput(
            logits=self.classifier(pooled), hidden_states=outputs.hidden_states
        )


class DINOv3ViTForImageClassification(BackboneForImageClassification):
    """DINOv3 (ViT) with a linear head on the class token."""

    config_class = DINOv3ViTConfig


class DINOv3ConvNextForImageClassification(BackboneForImageClassification):
    """DINOv3 (ConvNeXt) with a linear head on the pooled features."""

    config_class = DINOv3ConvNextConfig
    _supports_sdpa = False


class Aimv2ForImageClassification(BackboneForImageClassification):
    """The vision tower of AIMv2 with a linear head on its pooled output."""

    config_class = Aimv2VisionConfig


class MLCDForImageClassification(BackboneForImageClassification):
    """MLCD with a linear head on the class token."""

    config_class = MLCDVisionConfig


class PixioForImageClassification(BackboneForImageClassification):
    """Pixio with a linear head on its pooled output."""

    config_class = PixioConfig


CLASSIFIERS = (
    DINOv3ViTForImageClassification,
    DINOv3ConvNextForImageClassification,
    Aimv2ForImageClassification,
    MLCDForImageClassification,
    PixioForImageClassification,
)
# the public `register` skips configurations of transformers in versions before 5.23
_registered = MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING._extra_content  # noqa: SLF001
for _classifier in CLASSIFIERS:
    _registered[_classifier.config_class] = _classifier
    _classifier.register_for_auto_class("AutoModelForImageClassification")
