"""Compensation while a model trains."""

import copy

import pytest
import torch
from lightning import Callback, seed_everything

from tests.conftest import TINY, quiet_trainer
from tests.training.pruning.runs import load, save
from vitprune.data import ImageData
from vitprune.errors import UsageError
from vitprune.model import ViTClassifier
from vitprune.pruning import (
    Branch,
    Combined,
    Head,
    IterativePruning,
    LayerSelection,
    Mean,
    Neuron,
    OneShot,
    Ridge,
    Variance,
    Weights,
)


class AtTheRound(Callback):
    """Keep the model and the optimizer's state, before or after the pruning callback."""

    def __init__(self):
        self.nets, self.states = [], []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == 2:
            self.nets.append(copy.deepcopy(pl_module.net.state_dict()))
            self.states.append(copy.deepcopy(trainer.optimizers[0].state_dict()["state"]))


def build():
    seed_everything(42, verbose=False)
    architecture = {"model_type": "vit", **TINY, "initializer_range": 0.1}
    return ViTClassifier(architecture=architecture, labels=[str(d) for d in range(10)])


def data():
    limits = {"train": 64, "validation": 16}
    return ImageData("digits", "digits", batch_size=16, num_workers=0, max_images=limits)


def fit(tmp_path, pruning, model=None):
    """Return the model before and after a round at step 2, with the optimizer's states."""
    before, after = AtTheRound(), AtTheRound()
    trainer = quiet_trainer(tmp_path, callbacks=[before, pruning, after], max_epochs=1)
    model = model or build()
    trainer.fit(model, data())
    return before, after, model


def one_shot(compensation, **options):
    return IterativePruning(
        OneShot(0.5, begin=2, unit="step"),
        Variance(),
        **{"granularity": Combined([Head(), Neuron()]), **options},
        compensation=compensation,
        calibration_images=40,
        monitor=None,
    )


def test_a_round_changes_biases_and_kept_weights_and_nothing_else(tmp_path):
    plain, compensated = (one_shot(each) for each in (None, Ridge()))
    fit(tmp_path, plain)
    before, after, model = fit(tmp_path, compensated)
    for ours, theirs in zip(compensated.masks, plain.masks, strict=True):
        assert torch.equal(ours.keep, theirs.keep)
        assert not ours.parameter[~ours.keep].any()
    changed = {
        name
        for name, value in after.nets[0].items()
        if not torch.equal(value, before.nets[0][name])
    }
    assert {name.rpartition(".")[0].rpartition(".")[2] for name in changed if "bias" in name} == {
        "fc2",
        "o_proj",
    }
    for number, state in after.states[0].items():
        assert all(
            torch.equal(value, before.states[0][number][key]) for key, value in state.items()
        )
    assert model.training


def test_frozen_layers_that_are_named_are_compensated(tmp_path):
    model = build()
    for name, parameter in model.named_parameters():
        if "fc" in name:
            parameter.requires_grad_(False)
    layers = LayerSelection(names=["*fc*"])
    pruning = one_shot(Ridge(), granularity=Neuron(), layers=layers)
    before, after, _ = fit(tmp_path, pruning, model)
    for name, value in after.nets[0].items():
        is_changed = not torch.equal(value, before.nets[0][name])
        assert is_changed == (".mlp." in name and not name.endswith("fc1.bias")), name
        assert torch.equal(value, model.net.state_dict()[name]) or "mlp" not in name


def test_a_pruned_branch_trains_its_bias(tmp_path):
    pruning = one_shot(Mean(), granularity=Branch())
    _, after, model = fit(tmp_path, pruning)
    dead = [layer for layer in pruning.layers if not layer.weight.any()]
    assert dead
    assert all(layer.bias.any() for layer in dead)
    for layer in dead:
        name = next(n for n, module in model.net.named_modules() if module is layer.module)
        assert not torch.equal(layer.bias, after.nets[0][f"{name}.bias"])


def test_a_resume_with_another_compensation_is_refused(tmp_path):
    state = save(one_shot(Ridge(0.1)))
    with pytest.raises(
        UsageError, match="pruning.compensation.damping: 0.1 in the checkpoint, 0.2"
    ):
        load(one_shot(Ridge(0.2)), state)
    with pytest.raises(UsageError, match="pruning.compensation: "):
        load(one_shot(None), state)


def test_weight_rewinding_is_refused():
    with pytest.raises(UsageError, match="undoes the weight updates of Ridge"):
        one_shot(Ridge(), rewind=Weights(1))
