"""Settings as plain values, so that a resume can tell whether they are the same."""

import inspect
from pathlib import PurePath
from typing import Any

from vitprune.errors import UsageError
from vitprune.runs.plain_values import plain

PLAIN = (str, int, float, bool, type(None))


def describe(value: Any) -> Any:
    """Return an object as its class and its constructor arguments, as a checkpoint stores them.

    Raises:
        UsageError: If an object does not keep an argument as an attribute of the same name.

    """
    value = plain(value)
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, dict):
        return {str(key): describe(part) for key, part in value.items()}
    if isinstance(value, list):
        return [describe(part) for part in value]
    if isinstance(value, PurePath):
        return str(value)
    if not hasattr(value, "__dict__"):
        raise UsageError(
            f"{value!r} cannot be stored in a checkpoint. Use numbers, strings, lists, mappings or "
            "objects that keep their constructor arguments as attributes."
        )
    arguments = {name: describe(_argument(value, name)) for name in _arguments(type(value))}
    return {"class": type(value).__name__, **arguments}


def _arguments(cls: type) -> list[str]:
    """Return the names of the constructor's arguments, also of those passed on as `**kwargs`."""
    names: dict[str, None] = {}
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        _, *parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
        variable = [p for p in parameters if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        names |= {p.name: None for p in parameters if p not in variable}
        if not variable:
            break
    return list(names)


def _argument(value: object, name: str) -> Any:
    if not hasattr(value, name):
        raise UsageError(
            f"{type(value).__name__} does not keep its argument {name}, which checkpoints store. "
            f"Assign it to self.{name} in the constructor."
        )
    return getattr(value, name)


def first_difference(theirs: Any, ours: Any) -> str:
    """Return the first setting that differs from a checkpoint's, with both values.

    The result is empty if none differs. Settings that the checkpoint does not have were added
    later and are not compared. Mappings given by the user are compared as a whole.

    Args:
        theirs: The settings of the checkpoint, as `describe` returns them.
        ours: The current settings.

    """
    for name, old in theirs.items():
        new = ours.get(name)
        if isinstance(old, dict) and isinstance(new, dict) and "class" in old:
            if inner := first_difference(old, new):
                return f"{name}.{inner}"
        elif old != new:
            return f"{name}: {old} in the checkpoint, {new} now"
    return ""
