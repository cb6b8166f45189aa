"""The methods that a sweep compares, by name."""

import re
from collections.abc import Mapping, Sequence

from vitprune.errors import UsageError
from vitprune.pruning import Element, Magnitude, Method, Random, Row


def usual_methods() -> dict[str, Method]:
    """Return the four local methods of `torch.nn.utils.prune` under their names there."""
    return {
        "random_unstructured": Method(Random(), Element()),
        "l1_unstructured": Method(Magnitude(p=1), Element()),
        "random_structured": Method(Random(), Row()),
        "l1_structured": Method(Magnitude(p=1), Row()),
    }


def choose_methods(methods: Mapping[str, Method] | Sequence[str] | None) -> Mapping[str, Method]:
    """Return the methods to compare, by name.

    Args:
        methods: Methods by name, or names of usual ones; None for all usual ones.

    Raises:
        UsageError: If a name is unknown, or not suitable as the name of a file.

    """
    if isinstance(methods, Mapping):
        _check_names(methods)
        return methods
    usual = usual_methods()
    for name in methods or ():
        if name not in usual:
            raise UsageError(f"unknown method {name!r}. Valid are {', '.join(usual)}.")
    return {name: usual[name] for name in methods or usual}


def _check_names(methods: Mapping[str, Method]) -> None:
    for name in methods:
        if not re.fullmatch(r"[\w.+-]+", name):
            raise UsageError(
                f"method {name!r} cannot be used as a file name. Use letters, digits, _ + - ."
            )
