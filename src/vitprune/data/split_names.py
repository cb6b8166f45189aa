"""The names that sources give to their splits."""

import re
from collections.abc import Iterable

SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "validate"),
    "test": ("test", "testing", "eval", "evaluation"),
}
GLUED = ("", "set", "data", "split", "img", "images")  # as in `testset`
SPLIT_OF_WORD = {
    name + end: split for split, names in SPLIT_NAMES.items() for name in names for end in GLUED
}
UNCLEAR = {"trainval", "trainvalid", "traintest", "valtest", "holdout", "fold"}


def find_split(names: Iterable[str], split: str) -> str | None:
    """Return the source's name for `train`, `validation` or `test`, None if it has none."""
    spelled = {name.casefold(): name for name in sorted(names)}
    return next((spelled[name] for name in SPLIT_NAMES[split] if name in spelled), None)


def is_plain(name: str) -> bool:
    """Return whether a name is a split name without additions, such as `train` or `Val`."""
    return any(name.casefold() in names for names in SPLIT_NAMES.values())


def split_named(name: str) -> str | None:
    """Return the split in a name such as `train_images`, `Val` or `seg-test`.

    None if the name contains no split, several, or an ambiguous one.
    """
    splits = {SPLIT_OF_WORD[word] for word in _words(name) if word in SPLIT_OF_WORD}
    return splits.pop() if len(splits) == 1 and not UNCLEAR & set(_words(name)) else None


def looks_like_split(name: str) -> bool:
    """Return whether a name mentions a split, also an ambiguous one such as `trainval`."""
    return any(word in SPLIT_OF_WORD or word in UNCLEAR for word in _words(name))


def _words(name: str) -> list[str]:
    """Return the words of `trainImages_2017`: `train` and `images`."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return [word for word in re.split(r"[\W\d_]+", spaced.casefold()) if word]
