"""Values of numpy and torch become Python's."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vitprune.runs.plain_values import plain


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.array(3), 3),
        (np.True_, True),
        (np.str_("query"), "query"),
        (torch.tensor(0.5), 0.5),
        (np.arange(3), [0, 1, 2]),
        (torch.arange(3), [0, 1, 2]),
        (range(3), [0, 1, 2]),
        ((np.int64(1), "a"), [1, "a"]),
        ({np.str_("query"): [np.float64(0.5)]}, {"query": [0.5]}),
        (None, None),
        (Path("a"), Path("a")),
    ],
)
def test_a_value_becomes_plain(value, expected):
    found = plain(value)
    assert found == expected
    assert repr(found) == repr(expected)  # np.float64(0.5) == 0.5, too
