"""Budgets of structure in a Trainer: what a round leaves, and what is refused before training."""

import pytest
import torch
from lightning import LightningModule
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tests.conftest import quiet_trainer, tiny_net
from vitprune.errors import UsageError
from vitprune.exports.costs import count_flops, count_parameters
from vitprune.exports.shrinking.shrink import shrink
from vitprune.pruning import (
    AccuracyGuarded,
    Combined,
    FLOPs,
    Head,
    HeadDim,
    IterativePruning,
    Linear,
    Neuron,
    Parameters,
)


class Classifier(LightningModule):
    """A module of another program, with a teacher beside its model."""

    def __init__(self):
        super().__init__()
        self.net = tiny_net().train()
        self.teacher = tiny_net().train().requires_grad_(requires_grad=False)

    def training_step(self, batch, batch_idx):
        target = self.teacher(pixel_values=batch[0]).logits
        return nn.functional.mse_loss(self.net(pixel_values=batch[0]).logits, target)

    def validation_step(self, batch, batch_idx):
        self.log("val/score", -self.training_step(batch, batch_idx), batch_size=len(batch[0]))

    def configure_optimizers(self):
        return torch.optim.AdamW(self.net.parameters(), lr=1e-3)


def images(count=16):
    """Return a loader of random images."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(count, 3, 16, 16, generator=generator)
    return DataLoader(TensorDataset(pixels), batch_size=8)


def fit(folder, pruning, *callbacks, **options):
    """Train the classifier, and return it and its trainer."""
    torch.manual_seed(0)
    module = Classifier()
    trainer = quiet_trainer(folder, callbacks=[pruning, *callbacks], **{"max_epochs": 3, **options})
    trainer.fit(module, images(), images())
    return module, trainer


@pytest.mark.parametrize("budget", [FLOPs(), Parameters()], ids=["FLOPs", "Parameters"])
def test_every_round_removes_its_fraction_of_the_budget(tmp_path, budget):
    granularity = Combined([Head(), HeadDim(), Neuron()])
    pruning = IterativePruning(
        Linear(0.3, end=1), granularity=granularity, budget=budget, monitor="val/score"
    )
    module, _ = fit(tmp_path, pruning)
    rounds = pruning.state.rounds
    assert [done.removed >= done.target for done in rounds] == [True, True]
    assert [done.target for done in rounds] == [0.15, 0.3]
    small = shrink(module.net.eval(), ragged=True)
    assert rounds[-1].left["FLOPs"] == count_flops(small, (3, 16, 16))
    assert rounds[-1].left["parameters"] == count_parameters(small)
    dense = count_flops(tiny_net(), (3, 16, 16)), count_parameters(tiny_net())
    counted = [pruning.costs[unit].dense for unit in ("FLOPs", "parameters")]
    assert counted == list(dense)


def test_a_schedule_ends_at_the_target_of_the_budget(tmp_path):
    target = 0.8 * count_flops(tiny_net(), (3, 16, 16))
    pruning = IterativePruning(
        Linear(None, end=1), granularity=Neuron(), budget=FLOPs(target=target), monitor=None
    )
    fit(tmp_path, pruning)
    assert pruning.state.rounds[-1].target == pytest.approx(0.2)
    assert 0.97 * target < pruning.state.rounds[-1].left["FLOPs"] <= target


def test_a_search_counts_its_budget(tmp_path):
    search = AccuracyGuarded(step=0.1, max_drop=1e9, max_sparsity=0.2)
    pruning = IterativePruning(
        search, granularity=Neuron(), budget=Parameters(), monitor="val/score"
    )
    module, _ = fit(tmp_path, pruning, max_epochs=5)
    left = count_parameters(shrink(module.net.eval(), ragged=True))
    assert 0.79 < left / count_parameters(tiny_net()) <= 0.8


def test_a_resume_goes_on_to_the_same_masks(tmp_path):
    def pruning():
        return IterativePruning(
            Linear(0.3, end=1), granularity=Neuron(), budget=FLOPs(), monitor=None
        )

    saved = ModelCheckpoint(tmp_path, save_top_k=-1, filename="{epoch}")
    whole, _ = fit(tmp_path, pruning(), saved, enable_checkpointing=True)
    resumed = Classifier()
    again = ModelCheckpoint(tmp_path, save_top_k=-1, filename="{epoch}")
    quiet_trainer(
        tmp_path, callbacks=[pruning(), again], max_epochs=3, enable_checkpointing=True
    ).fit(resumed, images(), images(), ckpt_path=str(tmp_path / "epoch=0.ckpt"))
    for name, value in whole.net.state_dict().items():
        assert torch.equal(value, resumed.net.state_dict()[name]), name


@pytest.mark.parametrize(
    ("schedule", "budget", "message"),
    [
        (Linear(0.9, end=1), FLOPs(), "90.00% of the FLOPs cannot be removed"),
        (Linear(None, end=1), FLOPs(), "neither is given"),
        (Linear(0.5, end=1), FLOPs(target=1e6), "both is given"),
        (Linear(None, end=1), Parameters(target=1e9), "Set a smaller target"),
    ],
)
def test_what_cannot_be_reached_is_refused_before_training(tmp_path, schedule, budget, message):
    pruning = IterativePruning(schedule, granularity=Neuron(), budget=budget, monitor=None)
    with pytest.raises(UsageError, match=message):
        fit(tmp_path, pruning)
    assert not pruning.state.rounds
