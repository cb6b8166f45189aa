"""The Vision Transformer as a LightningModule. Nothing here knows of masks."""

from vitprune.model.classifier import ViTClassifier

__all__ = ["ViTClassifier"]
