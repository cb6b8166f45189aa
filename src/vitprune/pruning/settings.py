"""Settings as plain values, so that a resume can tell whether they are the same."""

import inspect
from typing import Any

from vitprune.errors import UsageError

PLAIN = (str, int, float, bool, type(None))


def describe(value: Any) -> Any:
    """Return an object as its class and its constructor arguments, as a checkpoint stores them.

    Raises:
        UsageError: If an object does not keep an argument as an attribute of the same name.

    """
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, dict):
        return {str(key): describe(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [describe(part) for part in value]
    arguments = {name: describe(_argument(value, name)) for name in _arguments(type(value))}
    return {"class": type(value).__name__, **arguments}


def _arguments(cls: type) -> list[str]:
    """Return the names of the constructor's arguments."""
    parameters = inspect.signature(cls).parameters.values()
    return [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


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
