"""Values of numpy and torch as plain Python values, which every file format can store."""

from typing import Any


def plain(value: Any) -> Any:
    """Return a value with Python's types instead of numpy's and torch's.

    Scalars become numbers; arrays, tensors, tuples and ranges become lists; lists and dicts are
    converted with all that is in them. Other objects are returned as they are.

    Examples:
        >>> import numpy as np
        >>> plain({"end": np.int64(4), "levels": np.array([0.25, 0.5])})
        {'end': 4, 'levels': [0.25, 0.5]}

    """
    if hasattr(value, "tolist"):  # first, as np.float64 is also a float
        return value.tolist()
    if isinstance(value, dict):
        return {plain(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(part) for part in value]
    return value
