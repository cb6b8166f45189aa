"""Iterative prune-and-finetune training for Vision Transformers."""

from typing import Any

__all__ = ["load_pruned"]


def __getattr__(name: str) -> Any:
    """Import what the package offers at its top when it is asked for: it brings half of Hugging Face along."""
    if name == "load_pruned":
        from vitprune.export.load import load_pruned

        return load_pruned
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
