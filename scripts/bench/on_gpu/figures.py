"""What a part reports: one line of the table."""

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A measured number, or a check.

    Attributes:
        name: What was measured.
        value: The number; None if it could not be measured.
        unit: Unit of the number.
        floor: What the device allows at best, in the same unit; None if unknown.
        passed: Whether the number is as required; None if nothing is required of it.
        note: Anything else worth a line.

    """

    name: str
    value: float | None
    unit: str = ""
    floor: float | None = None
    passed: bool | None = None
    note: str = ""


def attempted(name: str, measure: Callable[[], Iterator[Figure]]) -> Iterator[Figure]:
    """Yield the figures of a measurement; if it fails, one that says why, so that others follow."""
    try:
        yield from measure()
    except Exception as error:
        traceback.print_exc()
        yield Figure(name, None, passed=False, note=describe(error))


def describe(error: BaseException) -> str:
    """Return one line about an error."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"
