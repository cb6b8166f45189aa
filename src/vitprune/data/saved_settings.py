"""The data module of an earlier run, from the section `data` of its `config.yaml`."""

from collections.abc import Mapping
from typing import get_type_hints

from pydantic import TypeAdapter, ValidationError

from vitprune.data.datamodule import ImageData
from vitprune.errors import UsageError


def from_settings(settings: Mapping[str, object]) -> ImageData:
    """Build the data module that these settings describe, as plain values.

    Raises:
        UsageError: If a key or a value is not valid in this version.

    """
    kinds = get_type_hints(ImageData.__init__)
    if unknown := settings.keys() - kinds.keys():
        raise UsageError(f"the run has data keys of another version: {', '.join(sorted(unknown))}.")
    try:
        arguments = {
            name: TypeAdapter(kinds[name]).validate_python(value)
            for name, value in settings.items()
        }
    except ValidationError as error:
        raise UsageError(f"the data settings of the run are not valid: {error}") from error
    return ImageData(**arguments)
