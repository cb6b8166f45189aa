"""The Vision Transformer as a LightningModule. Nothing here depends on pruning."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vitprune.model.classifier import ViTClassifier

__all__ = ["ViTClassifier"]


def __getattr__(name: str) -> Any:
    """Import the LightningModule on first use; `vitprune.model.anatomy.layers` needs only torch."""
    if name == "ViTClassifier":
        from vitprune.model.classifier import ViTClassifier

        return ViTClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
