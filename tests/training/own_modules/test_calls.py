"""Ways to call layers and to write `training_step`."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.training.own_modules.modules import (
    CLASSES,
    FEATURES,
    HALVED,
    Classifier,
    Sparsities,
    halving,
    have_the_same_parameters,
    mlp,
)
from vitprune.errors import UsageError
from vitprune.pruning import Fisher, IterativePruning, Levels, SparseGPT, Taylor, Wanda


class ByKeyword(nn.Module):
    """A layer that is called with its input by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = mlp()[0]
        self.head = nn.Linear(32, CLASSES)

    def forward(self, x):
        return self.head(self.layer(input=x).relu())


@pytest.mark.parametrize("criterion", [Wanda, Taylor, Fisher, SparseGPT])
def test_inputs_by_keyword(fit, criterion):
    watch = Sparsities()
    fit(Classifier(ByKeyword()), halving(criterion=criterion(), calibration_images=16), watch)
    assert watch.seen == HALVED


draws = pytest.mark.filterwarnings("ignore:.*`dataloader_iter`")


class FromIterator(Classifier):
    """A training step that draws its batches itself."""

    def training_step(self, dataloader_iter):
        batch, _, _ = next(dataloader_iter)
        return F.cross_entropy(self(batch[0]), batch[1])


@draws
def test_a_step_that_draws_its_batches(fit):
    watch = Sparsities()
    fit(FromIterator(), halving(), watch)
    assert watch.seen == HALVED


@draws
def test_calibration_with_a_step_that_draws_its_batches(fit):
    """The statistics are those of the same images in a step that is given them."""
    modules = FromIterator(), Classifier()
    for module in modules:
        fit(module, halving(criterion=Taylor(), calibration_images=16))
    assert have_the_same_parameters(*modules)


class Skips(Classifier):
    """Skip every other batch."""

    def training_step(self, batch, batch_idx):
        return None if batch_idx % 2 else super().training_step(batch, batch_idx)


@pytest.mark.filterwarnings("ignore:`training_step` returned `None`")
def test_a_step_that_skips_batches(fit):
    watch = Sparsities()
    fit(Skips(), halving(), watch)
    assert watch.seen == HALVED


class Nothing(Classifier):
    """Never return a loss."""

    def training_step(self, batch, batch_idx):
        super().training_step(batch, batch_idx)


@pytest.mark.filterwarnings("ignore:`training_step` returned `None`")
def test_calibration_without_a_loss_blames_the_step(fit):
    with pytest.raises(UsageError, match="training_step"):
        fit(Nothing(), halving(criterion=Taylor()))


class OnlyTheBatch(Classifier):
    """A step without `batch_idx` that returns more than the loss."""

    def training_step(self, batch):
        logits = self(batch[0])
        return {"loss": F.cross_entropy(logits, batch[1]), "logits": logits.detach()}


def test_a_step_that_returns_a_mapping(fit):
    watch = Sparsities()
    fit(OnlyTheBatch(), halving(criterion=Taylor(), calibration_images=16), watch)
    assert watch.seen == HALVED


class Counts(Classifier):
    """A step that changes the module: statistics of BatchNorm, a buffer, and what it logs."""

    def __init__(self) -> None:
        net = mlp()
        super().__init__(nn.Sequential(net[0], nn.BatchNorm1d(32), *net[1:]))
        self.register_buffer("examples", torch.tensor(0))

    def training_step(self, batch, batch_idx):
        if self.training:
            self.examples += len(batch[0])
        loss = super().training_step(batch, batch_idx)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss


def test_calibration_leaves_no_traces(fit):
    module, trained = Counts(), []

    class Watched(Counts):
        def on_train_epoch_end(self):
            trained.append(float(self.trainer.callback_metrics["train_loss"]))

    module = Watched()
    fit(module, IterativePruning(Levels([0.0]), Taylor(), monitor=None, calibration_images=16))
    calibrated, trained[:] = list(trained), []
    plain = Watched()
    fit(plain)
    assert trained == calibrated
    assert have_the_same_parameters(module, plain)
    assert module.examples == plain.examples == 3 * 32
    for ours, theirs in zip(module.buffers(), plain.buffers(), strict=True):
        assert torch.equal(ours, theirs)


def test_an_input_of_another_shape_than_the_layer_s(fit):
    """Tokens, one batch of them after the other."""

    class Tokens(Classifier):
        def forward(self, x):
            return self.net(x.unflatten(1, (1, FEATURES))).squeeze(1)

    watch = Sparsities()
    fit(Tokens(), halving(criterion=Wanda(), calibration_images=16), watch)
    assert watch.seen == HALVED
