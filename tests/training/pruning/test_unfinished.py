"""A training that ends before its last pruning round says so, and why."""

from datetime import timedelta

import pytest
from lightning import Callback
from lightning.pytorch.callbacks import EarlyStopping, GradientAccumulationScheduler, Timer
from torch.utils.data import DataLoader, IterableDataset

from tests.conftest import Regression, quiet_trainer, regression_loader
from tests.training.pruning.runs import fit
from vitprune.pruning import AccuracyGuarded, Cubic, IterativePruning, OneShot

REACHED = "The pruning schedule did not finish: reached sparsity {} of 0.5. "
ENDED = REACHED + "Training ended in epoch {}"


class StopAt(Callback):
    """Stop the training after some epochs, as a user's own callback may."""

    def __init__(self, epochs):
        self.epochs = epochs

    def on_train_epoch_end(self, trainer, pl_module):
        trainer.should_stop = trainer.current_epoch + 1 >= self.epochs


def epochs():
    return IterativePruning(Cubic(0.5, end=4), monitor=None)


def steps():
    return IterativePruning(Cubic(0.5, end=16, every=4, unit="step"), monitor=None)


@pytest.mark.parametrize(
    ("pruning", "callback", "message"),
    [
        (
            epochs(),
            EarlyStopping("val/score", patience=1, mode="min"),
            ENDED.format("0.391", 1)
            + " after step 8, and the last round is due at epoch 4: EarlyStopping stopped it. "
            "Decrease pruning.schedule.end",
        ),
        (
            epochs(),
            EarlyStopping("val/score", stopping_threshold=-99.0, mode="max"),
            ENDED.format("0.245", 0) + ".*EarlyStopping stopped it",
        ),
        (
            epochs(),
            Timer(timedelta(microseconds=1), verbose=False),
            ENDED.format("0.245", 0) + r".*Timer \(trainer.max_time\) stopped it",
        ),
        (epochs(), StopAt(3), ENDED.format("0.469", 2) + ".*: trainer.should_stop was set"),
        (steps(), StopAt(2), ".*the last round is due at step 16: trainer.should_stop was set"),
        (
            steps(),
            GradientAccumulationScheduler({1: 4}),
            ENDED.format("0.391", "4 after step 8")
            + ".*fewer steps than expected, as with GradientAccumulationScheduler",
        ),
    ],
    ids=["patience", "threshold", "timer", "own, epochs", "own, steps", "accumulation"],
)
def test_a_schedule_that_does_not_finish_is_reported(tmp_path, pruning, callback, message):
    with pytest.warns(UserWarning, match=message):
        fit(tmp_path, pruning, callbacks=[callback])
    assert not pruning.state.finished


class Stream(IterableDataset):
    """Eight images without a length."""

    def __iter__(self):
        for x, y in regression_loader(images=8, batch_size=1):
            yield x[0], y[0]


def test_data_of_unknown_length_that_end_too_early_are_reported(tmp_path):
    trainer = quiet_trainer(tmp_path, callbacks=[steps()], max_epochs=1)
    with pytest.warns(UserWarning, match="in epoch 0 after step 4, .* data of unknown length"):
        trainer.fit(Regression(), DataLoader(Stream(), batch_size=2), regression_loader())


@pytest.mark.parametrize(
    ("schedule", "options"),
    [
        (OneShot(0.5), {"callbacks": [StopAt(1)]}),
        (Cubic(0.5, end=4), {"fast_dev_run": True}),
        (AccuracyGuarded(), {"callbacks": [StopAt(1)]}),  # has a line of its own
    ],
)
def test_nothing_is_reported_where_nothing_is_left(tmp_path, schedule, options):
    """Warnings are errors."""
    fit(tmp_path, IterativePruning(schedule, monitor="val/score"), **options)
