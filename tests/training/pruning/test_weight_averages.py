"""Averages of the weights."""

import pytest
from lightning.pytorch.callbacks import EMAWeightAveraging

from tests.conftest import Regression, quiet_trainer, regression_loader
from tests.training.pruning.runs import fit
from vitprune.pruning import (
    IterativePruning,
    Levels,
    OneShot,
)


@pytest.mark.parametrize("when", [{}, {"update_every_n_steps": 9}, {"update_starting_at_step": 99}])
def test_a_moving_average_of_the_weights_is_as_sparse(tmp_path, when):
    """Also before its first update, and in between: it is what is validated and exported."""
    seen = []

    class Seen(Regression):
        def validation_step(self, batch, batch_idx):
            if batch_idx == 0:
                seen.append(float((self.first.weight == 0).float().mean()))

    average = EMAWeightAveraging(decay=0.9, use_buffers=False, **when)
    module, _, _ = fit(
        tmp_path, IterativePruning(Levels([0.25, 0.5]), monitor=None), Seen(), callbacks=[average]
    )
    assert seen == [0.25, 0.5, 0.5, 0.5, 0.5]
    assert (module.first.weight == 0).float().mean() == 0.5


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("use_buffers", [True, False])
def test_an_average_may_stand_anywhere_and_include_buffers(tmp_path, order, use_buffers):
    pruning = IterativePruning(OneShot(0.5, begin=1), monitor=None)
    average = EMAWeightAveraging(decay=0.9, use_buffers=use_buffers)
    trainer = quiet_trainer(tmp_path, callbacks=[pruning, average][::order], max_epochs=2)
    trainer.fit(module := Regression(), regression_loader(), regression_loader())
    assert (module.first.weight == 0).float().mean() == 0.5
