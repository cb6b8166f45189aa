"""Every criterion ranks the weights of every family."""

import copy

import pytest
import torch
import torch.nn.functional as F
from lightning import LightningModule
from torch.utils.data import DataLoader, TensorDataset

from tests.conftest import quiet_trainer
from tests.families.expectations import expected, families
from tests.families.runs import net_of_run
from vitprune import IterativePruning, prune
from vitprune.pruning import (
    Fisher,
    LayerSelection,
    Linear,
    Method,
    Movement,
    Random,
    SparseGPT,
    Taylor,
    Wanda,
)

SPARSITY = 0.5


def check_pruned(family, criterion, folder):
    """Prune half of the weights: as many as were asked for, and not the same as another way."""
    net = net_of_run(family, folder)
    batches = [(family.images(3, seed), family.labels(3, seed)) for seed in (1, 2)]
    batches = [{"pixel_values": images, "labels": labels} for images, labels in batches]
    before = copy.deepcopy(net.state_dict())
    sparsity = prune(net, Method(criterion), SPARSITY, batches=batches)
    assert sparsity.prunable == pytest.approx(SPARSITY, abs=1e-6)
    for layer in LayerSelection().select(net):
        kept = layer.weight != 0
        changed = layer.weight[kept] != before[layer.parameter_name][kept]
        assert changed.any() == criterion.updates_weights, layer.name
        assert layer.weight.isfinite().all()


@families("random")
def test_random(family, tmp_path):
    with expected("random", family):
        check_pruned(family, Random(), tmp_path)


@families("taylor")
def test_taylor(family, tmp_path):
    with expected("taylor", family):
        check_pruned(family, Taylor(), tmp_path)


@families("fisher")
def test_fisher(family, tmp_path):
    with expected("fisher", family):
        check_pruned(family, Fisher(), tmp_path)


@families("wanda")
def test_wanda(family, tmp_path):
    with expected("wanda", family):
        check_pruned(family, Wanda(), tmp_path)


@families("sparse_gpt")
def test_sparse_gpt(family, tmp_path):
    with expected("sparse_gpt", family):
        check_pruned(family, SparseGPT(), tmp_path)


class OwnModule(LightningModule):
    """A LightningModule of another program around a model."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def training_step(self, batch, batch_idx):
        images, labels = batch
        return F.cross_entropy(self.net(pixel_values=images).logits, labels)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


@families("movement")
def test_movement(family, tmp_path):
    images = TensorDataset(family.images(12), family.labels(12))
    pruning = IterativePruning(Linear(SPARSITY, begin=1, end=3), Movement())
    with expected("movement", family):
        net = net_of_run(family, tmp_path)
        trainer = quiet_trainer(tmp_path, callbacks=[pruning], max_epochs=5)
        trainer.fit(OwnModule(net.train()), DataLoader(images, batch_size=4))
        layers = LayerSelection().select(net)
        zeros = sum(int((layer.weight == 0).sum()) for layer in layers)
        assert zeros == round(SPARSITY * sum(layer.shape.numel() for layer in layers))
