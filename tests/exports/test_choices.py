"""The choices about an export that are checked on their own."""

import pytest

from vitprune.errors import UsageError
from vitprune.exports.choices import check_max_drop


def test_a_drop_of_accuracy_is_a_fraction():
    for valid in (0, 0.01, 1):
        check_max_drop(valid)
    for wrong in (-0.1, 2, float("nan")):
        with pytest.raises(UsageError, match="--max_drop must lie in .0, 1., not .*; 0.01 is one"):
            check_max_drop(wrong)
