"""Configured objects as plain values, so that a resume can tell whether they are the same."""

from typing import Any

PLAIN = (str, int, float, bool, type(None))


def describe(value: Any) -> Any:
    """Describe an object by its class and its public attributes, and so on; a checkpoint may hold the result."""
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, dict):
        return {str(key): describe(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [describe(part) for part in value]
    public = {
        name: describe(part) for name, part in vars(value).items() if not name.startswith("_")
    }
    return {"class": type(value).__name__, **public}


def first_difference(theirs: Any, ours: Any) -> str:
    """Name the first setting that differs between a checkpoint and now, with both values; nothing
    if none does.

    A setting that the checkpoint does not name came later, and is none of its own. What a user maps
    by name is compared whole.
    """
    for name, old in theirs.items():
        new = ours.get(name)
        if isinstance(old, dict) and isinstance(new, dict) and "class" in old:
            if inner := first_difference(old, new):
                return f"{name}.{inner}"
        elif old != new:
            return f"{name}: {old} in the checkpoint, {new} now"
    return ""
