"""The validation just after pruning is Lightning's own, with all its hooks."""

import pytest
import torch
from lightning import Callback

from tests.conftest import quiet_trainer
from tests.training.own_modules.modules import Classifier, batches, halving
from vitprune.pruning import IterativePruning, OneShot


class ByHooks(Classifier):
    """Collects in one hook, computes in another, as before torchmetrics."""

    def on_validation_start(self):
        self.outputs = []

    def on_validation_epoch_start(self):
        assert self.outputs == []

    def validation_step(self, batch, batch_idx):
        self.outputs.append(self(batch[0]).argmax(1) == batch[1])

    def on_validation_batch_end(self, outputs, batch, batch_idx, dataloader_idx=0):
        self.log("last", float(batch_idx), reduce_fx="max")

    def on_validation_epoch_end(self):
        self.log("accuracy", torch.cat(self.outputs).float().mean())


def validated(module, tmp_path):
    """Return what a validation of Lightning logs."""
    return quiet_trainer(tmp_path).validate(module, batches(seed=2), verbose=False)[0]


class Keeps(Callback):
    """Keep the weights right after each round."""

    def __init__(self):
        self.states = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == 0:
            state = pl_module.state_dict()
            self.states.append({name: value.clone() for name, value in state.items()})


@pytest.mark.parametrize("build", [Classifier, ByHooks])
def test_a_round_is_validated_as_lightning_would(fit, tmp_path, build):
    pruning, keeps = halving(monitor="accuracy"), Keeps()
    module = build()
    dense = validated(build(), tmp_path)["accuracy"]
    fit(module, pruning, keeps)
    assert pruning.state.dense["accuracy"] == pytest.approx(dense)
    for round, state in zip(pruning.state.rounds, keeps.states[:2], strict=True):
        module.load_state_dict(state)
        assert round.pruned == pytest.approx(validated(module, tmp_path)["accuracy"])


def test_a_maximum_is_a_maximum(fit):
    pruning = halving(monitor="last")
    fit(ByHooks(), pruning)
    assert pruning.state.dense["last"] == 3.0
    assert [(round.pruned, round.finetuned) for round in pruning.state.rounds] == [(3.0, 3.0)] * 2


def test_a_metric_that_another_callback_logs(fit):
    class Logs(Callback):
        def on_validation_epoch_end(self, trainer, pl_module):
            pl_module.log("by a callback", 7.0)

    pruning = halving(monitor="by a callback")
    fit(Classifier(), pruning, Logs())
    assert [round.pruned for round in pruning.state.rounds] == [7.0, 7.0]


def test_monitoring_does_not_change_the_training(fit):
    """Weights, modes and logged metrics are those of a run without these validations."""
    logged, modes = [], []

    class Watched(Classifier):
        def training_step(self, batch, batch_idx):
            modes.append(self.net.training)
            loss = super().training_step(batch, batch_idx)
            self.log("train_loss", loss, on_step=False, on_epoch=True)
            return loss

        def on_train_epoch_end(self):
            logged.append(float(self.trainer.callback_metrics["train_loss"]))

    for monitor in (None, "accuracy"):
        module = Watched()
        fit(module, IterativePruning(OneShot(0.5, begin=6, unit="step"), monitor=monitor))
    assert logged[:3] == logged[3:]
    assert all(modes)
