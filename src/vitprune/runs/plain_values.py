"""Plain Python values, which every file format can store."""

from typing import Any


def plain(value: Any) -> Any:
    """Return a value without numpy's and torch's types, also inside of lists and mappings.

    Scalars become numbers; arrays, tensors, tuples and ranges become lists. Other objects are
    returned as they are.

    Example:
        >>> import numpy as np
        >>> plain({"end": np.int64(4), "levels": np.array([0.25, 0.5])})
        {'end': 4, 'levels': [0.25, 0.5]}

    """
    if hasattr(value, "tolist"):  # np.float64 is also a float, and would pass as plain
        return value.tolist()
    if isinstance(value, dict):
        return {plain(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(part) for part in value]
    return value
