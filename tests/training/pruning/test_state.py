"""What a checkpoint stores."""

import pytest
import torch

from tests.conftest import Regression
from tests.interrupted import assert_same
from tests.training.pruning.runs import fit, load, save
from vitprune.errors import UsageError
from vitprune.pruning import AccuracyGuarded, IterativePruning, LearningRate, OneShot


def test_another_metric_is_another_setting():
    one, other = (
        IterativePruning(OneShot(0.5), monitor=monitor) for monitor in ("val/top5", "val/accuracy")
    )
    with pytest.raises(
        UsageError, match=r"pruning\.monitor: val/top5 in the checkpoint, val/accuracy now"
    ):
        load(other, save(one))


def test_a_state_without_the_current_format_is_refused():
    pruning = IterativePruning(OneShot(0.5), monitor=None)
    earlier = {key: value for key, value in save(pruning).items() if key != "format"}
    with pytest.raises(UsageError, match=r"saved by an earlier .* Resume it with that version"):
        load(pruning, earlier)


@pytest.mark.parametrize("schedule", [OneShot(0.5), AccuracyGuarded(step=0.2, max_drop=9)])
def test_a_state_goes_through_a_file(schedule, tmp_path):
    """Loaded without executing anything, it is the state that was saved."""
    pruning = IterativePruning(schedule, monitor="val/score", rewind=LearningRate())
    fit(tmp_path, pruning, DecayingBySteps(), max_epochs=2)
    torch.save(save(pruning), tmp_path / "state")
    other = IterativePruning(schedule, monitor="val/score", rewind=LearningRate())
    load(other, torch.load(tmp_path / "state", weights_only=True))
    assert_same(save(other), save(pruning))


class DecayingBySteps(Regression):
    def configure_optimizers(self):
        optimizer = super().configure_optimizers()
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / 20)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
