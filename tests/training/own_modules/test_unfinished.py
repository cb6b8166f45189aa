"""A schedule that does not reach its end says how far it came, and why."""

from datetime import timedelta

import pytest
from lightning.pytorch.callbacks import EarlyStopping, GradientAccumulationScheduler, Timer

from tests.training.own_modules.modules import Call, Classifier, halving
from vitprune.pruning import IterativePruning, Linear


def quarters():
    """Prune a quarter of a half at the start of each of four epochs."""
    return IterativePruning(Linear(0.5, end=3), monitor="accuracy")


class Constant(Classifier):
    """Validation never gets better."""

    def validation_step(self, batch, batch_idx):
        self.log("accuracy", 0.5)


def test_early_stopping(fit, said):
    stopping, pruning = EarlyStopping("accuracy", mode="max", patience=1), quarters()
    text = said(lambda: fit(Constant(), pruning, stopping, max_epochs=8))
    assert not pruning.state.finished
    assert pruning.state.sparsity == 0.25
    assert "0.250 of 0.5" in text
    assert "EarlyStopping" in text


@pytest.mark.filterwarnings("ignore:The pruning schedule did not finish")
def test_validations_of_rounds_do_not_count_for_early_stopping(fit):
    """Else its patience would depend on the rounds."""
    stops = []
    for pruning in ([], [quarters()]):
        trainer = fit(
            Constant(), *pruning, EarlyStopping("accuracy", mode="max", patience=1), max_epochs=8
        )
        stops.append(trainer.current_epoch)
    assert stops[0] == stops[1]


def test_a_time_limit(fit, said):
    pruning = quarters()
    text = said(
        lambda: fit(Classifier(), pruning, max_epochs=8, max_time=timedelta(microseconds=1))
    )
    assert not pruning.state.finished
    assert "of 0.5" in text
    assert "Timer" in text  # what Lightning makes of `max_time`


def test_a_timer_of_one_s_own(fit, said):
    pruning, timer = quarters(), Timer(timedelta(microseconds=1), interval="epoch")
    text = said(lambda: fit(Classifier(), pruning, timer, max_epochs=8))
    assert "0.125 of 0.5" in text


def test_a_stop_by_a_callback(fit, said):
    def stop(trainer, module):
        trainer.should_stop = trainer.current_epoch == 1

    stops = Call("on_train_epoch_end", stop)
    text = said(lambda: fit(Classifier(), quarters(), stops, max_epochs=8))
    assert "0.250 of 0.5" in text


def test_gradients_accumulated_from_some_epoch_on(fit, said):
    """The optimizer takes fewer steps than Lightning expects when training starts."""
    pruning = IterativePruning(Linear(0.5, end=24, every=8, unit="step"), monitor=None)
    accumulates = GradientAccumulationScheduler({0: 1, 2: 4})
    text = said(lambda: fit(Classifier(), pruning, accumulates, max_epochs=8))
    assert not pruning.state.finished
    assert f"{pruning.state.sparsity:.3f} of 0.5" in text
    assert "24" in text  # the step of the last round


@pytest.mark.parametrize("stops", [False, True])
def test_a_finished_schedule_warns_of_nothing(fit, said, stops):
    callbacks = [EarlyStopping("accuracy", mode="max", patience=2)] if stops else []
    text = said(lambda: fit(Constant(), halving(), *callbacks, max_epochs=5))
    assert "of 0.5" not in text
