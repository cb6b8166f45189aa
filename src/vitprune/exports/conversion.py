"""Conversions by the exporters of torch, which do not support all models."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vitprune.errors import UsageError
from vitprune.model.trial import first_line


class ConversionError(UsageError):
    """A model cannot be converted to a format; the other files of its export are unaffected."""


@contextmanager
def converting(name: str, file: Path) -> Iterator[None]:
    """Convert a model within the context; if that fails, no file is left.

    Args:
        name: Name of the format, with an option that it was chosen by.
        file: File that is written.

    Raises:
        ConversionError: If anything in the context fails.

    """
    try:
        yield
    except OSError:  # of the disk, not of the conversion
        raise
    except Exception as error:  # exporters raise errors of any class
        file.unlink(missing_ok=True)
        raise ConversionError(
            f"--formats {name}: the model cannot be converted ({first_line(_cause(error))}). Leave "
            f"out {name}, or use another format."
        ) from error


def _cause(error: BaseException) -> BaseException:
    """Return the first error of a chain; exporters wrap it in instructions to report it."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error
