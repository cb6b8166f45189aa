"""JSON files as dataclasses."""

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from vitprune.errors import UsageError
from vitprune.runs.atomic import write_text

T = TypeVar("T")

# mistakes for which pydantic's messages would name a class
SHAPES = dict.fromkeys(
    ("model_type", "dataclass_type", "dict_type"), "Input should be a mapping of keys"
)


def read_json(path: Path, kind: type[T]) -> T:
    """Read a JSON file as an instance of a dataclass; unknown keys are ignored.

    Raises:
        UsageError: If the file cannot be read, or does not hold such an object.

    """
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        raise damaged(path, first_mistake(error)) from error


def damaged(path: Path, reason: str) -> UsageError:
    """Return the error for a file with invalid content."""
    return UsageError(f"{path} is damaged or from another version: {reason}.")


def first_mistake(error: ValidationError) -> str:
    """Describe the first mistake that pydantic found: the key and what is wrong with it."""
    mistake = error.errors(include_url=False, include_input=False)[0]
    *parents, leaf = [*map(str, mistake["loc"])] or [""]
    if mistake["type"] == "missing":
        return f"{'.'.join(parents)}: it has no {leaf!r}" if parents else f"it has no {leaf!r}"
    key = ".".join([*parents, leaf])
    text = SHAPES.get(mistake["type"], mistake["msg"].removeprefix("Value error, "))
    return f"{key}: {text}" if key else text


def write_json(path: Path, value: object) -> None:
    """Write a dataclass as an indented JSON file, whole or not at all."""
    write_text(path, json.dumps(as_plain(value), indent=2) + "\n")


def as_plain(value: object) -> Any:
    """Return a dataclass as dictionaries, lists, strings and numbers."""
    return TypeAdapter(type(value)).dump_python(value, mode="json")
