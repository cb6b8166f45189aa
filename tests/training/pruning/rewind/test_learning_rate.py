"""Learning-rate rewinding."""

import pytest
import torch

from tests.conftest import Regression
from tests.training.pruning.runs import fit_and_look
from vitprune.errors import UsageError
from vitprune.pruning import (
    AccuracyGuarded,
    IterativePruning,
    LearningRate,
    Levels,
    Linear,
)


class Decaying(Regression):
    def configure_optimizers(self):
        optimizer = super().configure_optimizers()
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / 20)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def rate(trainer, module):
    return trainer.optimizers[0].param_groups[0]["lr"]


def test_the_learning_rate_starts_again_in_every_round(tmp_path):
    pruning = IterativePruning(
        Levels([0.2, 0.4], begin=1, every=2), monitor=None, rewind=LearningRate()
    )
    _, seen, _ = fit_and_look(tmp_path, pruning, Decaying(), rate)
    expected = [1 - i / n for n in (4, 8, 8) for i in range(n)]  # epochs 0, 1 to 2, and 3 to 4
    assert seen == pytest.approx([1e-2 * factor for factor in expected])


def test_the_learning_rate_starts_again_in_every_epoch_where_rounds_are_not_known(tmp_path):
    guarded = AccuracyGuarded(step=0.2, max_drop=9, max_sparsity=0.9, begin=2)
    _, seen, _ = fit_and_look(
        tmp_path,
        IterativePruning(guarded, monitor="val/score", rewind=LearningRate()),
        Decaying(),
        rate,
    )
    expected = [1 - i / n for n in (8, 4, 4, 4) for i in range(n)]
    assert seen == pytest.approx([1e-2 * factor for factor in expected])


def test_a_rate_that_cannot_be_stretched_is_refused(tmp_path):
    class ByEpoch(Decaying):
        def configure_optimizers(self):
            return {
                **(both := super().configure_optimizers()),
                "lr_scheduler": both["lr_scheduler"]["scheduler"],
            }

    with pytest.raises(UsageError, match="interval 'step'"):
        fit_and_look(
            tmp_path,
            IterativePruning(Linear(0.5, end=2), monitor=None, rewind=LearningRate()),
            ByEpoch(),
        )


def test_rounds_a_step_apart_leave_a_rate_nowhere_to_go(tmp_path):
    every_step = Linear(0.5, begin=4, end=12, every=1, unit="step")
    with pytest.raises(UsageError, match="more than one step between two rounds"):
        fit_and_look(
            tmp_path, IterativePruning(every_step, monitor=None, rewind=LearningRate()), Decaying()
        )
