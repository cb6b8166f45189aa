"""The classes of ImageNet-1k: WordNet ids and names, in the order of their numbers."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

LIST = Path(__file__).parents[1] / "assets" / "imagenet_1k.tsv"
CLASSES = 1000
SAME = 900  # names that must agree; lists differ in the spelling of a few


@cache
def imagenet_classes() -> dict[str, str]:
    """Return the names of each class, such as "tench, Tinca tinca", by WordNet id, in order."""
    lines = LIST.read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t") for line in lines)


def is_imagenet(names: Mapping[int, str]) -> bool:
    """Return whether classes are those of ImageNet-1k, in order.

    There must be 1000 classes, and most must have the name or id of ImageNet, or none a name.

    Args:
        names: Class names of a model by number.

    """
    if set(names) != set(range(CLASSES)):
        return False
    if are_unnamed(names):
        return True
    theirs = enumerate(imagenet_classes().items())
    same = sum(
        names[number] == synset or not synonyms(names[number]).isdisjoint(synonyms(name))
        for number, (synset, name) in theirs
    )
    return same >= SAME


def are_unnamed(names: Mapping[int, str]) -> bool:
    """Return whether the classes of a model have numbers instead of names."""
    return all(name in (f"LABEL_{number}", str(number)) for number, name in names.items())


def synonyms(name: str) -> set[str]:
    """Return a class name and its synonyms, which commas separate."""
    return {name, *name.split(", ")}
