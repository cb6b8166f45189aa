"""The Vision Transformers of the benchmarks, with random weights or from a folder."""

import torch
from transformers import (
    AutoModelForImageClassification,
    PreTrainedModel,
    ViTConfig,
    ViTForImageClassification,
)

IMAGE_SHAPE = (3, 224, 224)
ARCHITECTURES: dict[str, dict[str, int]] = {
    "deit-tiny": {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768},
    "vit-base": {},
    "vit-large": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
    },
}


def build(name: str, classes: int = 10) -> PreTrainedModel:
    """Return an architecture with random weights, always the same."""
    torch.manual_seed(0)
    return ViTForImageClassification(ViTConfig(num_labels=classes, **ARCHITECTURES[name])).eval()


def load_or_build(pretrained: str | None, name: str) -> PreTrainedModel:
    """Return the model of a folder, or an architecture with random weights without one."""
    if pretrained:
        return AutoModelForImageClassification.from_pretrained(pretrained).eval()
    return build(name)


def random_batch(images: int, classes: int = 10) -> tuple[torch.Tensor, torch.Tensor]:
    """Return random images, of shape (images, 3, 224, 224), and labels."""
    return torch.randn(images, *IMAGE_SHAPE), torch.randint(0, classes, (images,))
