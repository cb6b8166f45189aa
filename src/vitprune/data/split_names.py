"""The names that sources give to their splits."""

from collections.abc import Container

SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}


def find_split(names: Container[str], split: str) -> str | None:
    """Return the source's name for `train`, `validation` or `test`, None if it has none."""
    return next((name for name in SPLIT_NAMES[split] if name in names), None)
