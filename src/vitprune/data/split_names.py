"""What sources call their splits."""

from collections.abc import Container

SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}


def find_split(names: Container[str], split: str) -> str | None:
    """Return which of a source's names stands for its split `train`, `validation` or `test`; None if none does."""
    return next((name for name in SPLIT_NAMES[split] if name in names), None)
