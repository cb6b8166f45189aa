"""The settings of a scan as plain JSON values.

They are saved with the results, and a scan is only resumed with the same settings.
"""

from pydantic import BaseModel

from vitprune.runs.run_config import ImageSource

Settings = dict[str, object]  # by name, in the order in which a difference is reported


class SweepSettings(BaseModel, frozen=True, extra="allow"):
    """The settings of a sweep; those without an attribute are kept as they are.

    Attributes:
        data: Validation images.
        seeds: Seeds of the random criteria.

    """

    data: ImageSource
    seeds: list[int]


def first_difference(old: Settings, new: Settings) -> str | None:
    """Return the name of the first setting that differs; None if all are equal."""
    names = {**new, **old}
    return next((name for name in names if new.get(name) != old.get(name)), None)
