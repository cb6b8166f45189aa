"""The options and keys that exist and their valid values, from signatures and annotations."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from pydoc import locate
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

Options = Mapping[str, Any]
"""Annotations by name of the option."""

PLAIN = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "a list",
    tuple: "a list",
    dict: "a mapping",
    NoneType: "null",
}
MOST_KEYS = 8  # that a description of a mapping lists
KNOWN = ("vitprune.", "lightning.", "torch.optim.")  # modules whose classes are explained
LISTED = ("vitprune.", "torch.optim.")  # and those whose classes are listed
TORCH_BASES = (Optimizer, LRScheduler)  # of no use themselves, although they are not abstract
PASSED = ("params", "optimizer")  # arguments of their subclasses that are not keys


def parameters(function: Callable[..., object]) -> dict[str, Any]:
    """Return the annotations of the named parameters of a function or of a class's constructor.

    Those that the program itself passes to optimizers and schedulers are left out.
    """
    is_of_torch = inspect.isclass(function) and issubclass(function, TORCH_BASES)
    try:
        hints = get_type_hints(function.__init__ if inspect.isclass(function) else function)
    except NameError:  # of a name that is imported for type checkers alone
        hints = {}
    return {
        name: hints.get(name, Any)
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "self"
        and not (is_of_torch and name in PASSED)
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }


def options_in(options: Options, path: tuple[str, ...]) -> Options:
    """Return the keys that exist inside of a key; none if it has no keys or does not exist."""
    for key in path:
        inside: dict[str, Any] = {}
        for cls in classes_in(options.get(key)):
            for concrete in concrete_classes(cls):
                inside |= parameters(concrete)
        options = inside
    return options


def options_of(owner: str | None, options: Options, path: tuple[str, ...]) -> Options:
    """Return the keys of the class `owner`, an import path, or else those inside of a key."""
    cls = locate(owner) if owner else None
    return parameters(cls) if inspect.isclass(cls) else options_in(options, path)


def classes_in(annotation: Any) -> Iterator[type]:
    """Yield the classes of this package, Lightning and torch.optim that an annotation names."""
    is_class = inspect.isclass(annotation) and get_origin(annotation) is None
    if is_class and annotation.__module__.startswith(KNOWN):
        yield annotation
    for inner in get_args(annotation):
        yield from classes_in(inner)


def is_base(cls: type) -> bool:
    """Return whether a class only stands for its subclasses."""
    return inspect.isabstract(cls) or cls in TORCH_BASES


def concrete_classes(base: type) -> list[type]:
    """Return a class and its subclasses, as far as they can be instantiated."""
    found = [] if is_base(base) else [base]
    children: list[type] = base.__subclasses__()
    for child in children:
        found += concrete_classes(child)
    return found


def class_names(annotation: Any) -> list[str]:
    """Return the names of the classes that can stand for an annotation, sorted.

    Those of Lightning are left out: they are too many.
    """
    found = [cls for base in classes_in(annotation) for cls in concrete_classes(base)]
    listed = {cls.__name__ for cls in found if cls.__module__.startswith(LISTED)}
    return sorted(name for name in listed if not name.startswith("_"))


def describe(annotation: Any) -> str:
    """Return what a value may be, as the end of a sentence: `an integer or null`."""
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        kinds = sorted(get_args(annotation), key=lambda kind: kind is NoneType)
        return " or ".join(dict.fromkeys(describe(kind) for kind in kinds))
    if origin is Literal:
        return f"one of {', '.join(map(str, get_args(annotation)))}"
    if (plain := origin or annotation) in PLAIN:
        return PLAIN[plain]
    if not inspect.isclass(annotation):
        return str(annotation)
    if is_base(annotation):
        return f"one of {', '.join(class_names(annotation))}"
    keys = list(parameters(annotation))
    return f"a mapping with {', '.join(keys)}" if len(keys) <= MOST_KEYS else "a mapping"
