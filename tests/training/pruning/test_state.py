"""What a checkpoint stores."""

import numpy as np
import pytest
import torch

from tests.conftest import Regression, quiet_trainer, regression_loader
from tests.interrupted import assert_same
from tests.training.pruning.runs import fit, load, save
from vitprune.errors import UsageError
from vitprune.pruning import (
    AccuracyGuarded,
    IterativePruning,
    LayerSelection,
    LearningRate,
    Levels,
    OneShot,
    PerLayer,
    Schedule,
)


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


class Exponential(Schedule):
    """A schedule of a user, who calculates with numpy."""

    def sparsity_at(self, x):
        return self.final_sparsity * (1 - np.exp(-3 * x))


@pytest.mark.parametrize(
    "build",
    [
        lambda: {"schedule": Levels(np.linspace(0.1, 0.5, 3))},
        lambda: {"schedule": Exponential(np.float32(0.5), end=np.int64(2))},
        lambda: {"schedule": AccuracyGuarded(np.float64(0.2), max_sparsity=np.float64(0.9))},
        lambda: {
            "schedule": OneShot(torch.tensor(0.5)),
            "allocation": PerLayer({"*": np.float64(0.5)}, min_density=np.float64(0.1)),
            "layers": LayerSelection(names=np.array(["first", "second"])),
            "calibration_images": np.int64(8),
            "monitor": np.str_("val/score"),
            "seed": np.int64(7),
        },
    ],
)
def test_a_checkpoint_of_a_run_with_settings_of_numpy_is_plain_and_resumes(tmp_path, build):
    options = {"monitor": "val/score"}
    _, _, trainer = fit(tmp_path, IterativePruning(**options | build()), max_epochs=3)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    torch.load(tmp_path / "last.ckpt", weights_only=True)
    resumed = IterativePruning(**options | build())
    trainer = quiet_trainer(tmp_path, callbacks=[resumed], max_epochs=4)
    loader = regression_loader()
    trainer.fit(Regression(), loader, loader, ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert resumed.state.rounds[0].epoch == 0
    assert trainer.current_epoch == 4


class DecayingBySteps(Regression):
    def configure_optimizers(self):
        optimizer = super().configure_optimizers()
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / 20)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
