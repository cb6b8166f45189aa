"""YAML files as pydantic models or plain types."""

import json
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from vitprune.errors import UsageError
from vitprune.runs.typed_json import damaged, first_mistake

T = TypeVar("T")
# errors of PyYAML itself, and of Python for numbers, dates and deep nesting
UNREADABLE = (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError, AttributeError)


def read_yaml(path: Path, kind: type[T]) -> T:
    """Read a YAML file as an instance of a type.

    Raises:
        UsageError: If the file cannot be read, or its content is not of this type.

    """
    try:
        content = yaml.safe_load(path.read_bytes())
        json.dumps(content, default=str)  # refuses aliases that contain themselves
        return TypeAdapter(kind).validate_python(content)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        raise damaged(path, first_mistake(error)) from error
    except UNREADABLE as error:
        raise damaged(path, " ".join(str(error).split())) from error
