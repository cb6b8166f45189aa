"""What a checkpoint stores."""

import pytest

from vitprune.errors import UsageError
from vitprune.pruning import (
    IterativePruning,
    OneShot,
)


def test_another_metric_is_another_setting():
    one, other = (
        IterativePruning(OneShot(0.5), monitor=monitor) for monitor in ("val/top5", "val/accuracy")
    )
    with pytest.raises(
        UsageError, match=r"pruning\.monitor: val/top5 in the checkpoint, val/accuracy now"
    ):
        other.load_state_dict(one.state_dict())
