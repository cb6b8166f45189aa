"""Manual optimization, with one optimizer or several."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.training.own_modules.modules import (
    FEATURES,
    HALVED,
    Call,
    Classifier,
    Sparsities,
    halving,
    have_the_same_parameters,
    mlp,
    weights,
    zeros,
)
from vitprune.pruning import IterativePruning, Movement, OneShot


class Manual(Classifier):
    """The training of `Classifier`, written by hand, in parts of the net."""

    def __init__(self, parts=((0, 2, 4),)) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.parts = parts

    def training_step(self, batch, batch_idx):
        optimizers = self.optimizers()
        optimizers = optimizers if isinstance(optimizers, list) else [optimizers]
        loss = super().training_step(batch, batch_idx)
        for optimizer in optimizers:
            optimizer.zero_grad()
        self.manual_backward(loss)
        for optimizer in optimizers:
            optimizer.step()

    def configure_optimizers(self):
        return [
            torch.optim.AdamW(
                [parameter for index in part for parameter in self.net[index].parameters()],
                self.lr,
                weight_decay=0.1,
            )
            for part in self.parts
        ]


@pytest.mark.parametrize("parts", [((0, 2, 4),), ((0,), (2, 4))], ids=["one", "two"])
def test_manual_optimization_trains_as_automatic(fit, parts):
    automatic, manual, watch = Classifier(), Manual(parts), Sparsities()
    fit(automatic, halving())
    fit(manual, halving(), watch)
    assert watch.seen == HALVED
    assert have_the_same_parameters(manual, automatic)


@pytest.mark.parametrize("parts", [((0, 2, 4),), ((0,), (2, 4))], ids=["one", "two"])
def test_each_gradient_counts_once(fit, parts):
    """The sum of -w g, by hand, however many optimizers take a step."""
    expected = torch.zeros(32, 32)

    class Sums(Manual):
        def on_before_optimizer_step(self, optimizer):
            weight = self.net[2].weight
            if any(weight is parameter for parameter in optimizer.param_groups[0]["params"]):
                expected.sub_(weight.detach() * weight.grad)

    def compare(trainer, module):
        if trainer.fit_loop.total_batch_idx == 9:
            sums.extend([expected.clone(), pruning.state.statistics["net.2"].clone()])

    sums = []
    pruning = IterativePruning(OneShot(0.5, begin=30, unit="step"), Movement(), monitor=None)
    fit(Sums(parts), pruning, Call("on_train_batch_end", compare), max_epochs=8)
    torch.testing.assert_close(*sums)
    assert sums[0].any()


class GAN(Classifier):
    """Generator and discriminator take turns, epoch by epoch."""

    def __init__(self) -> None:
        super().__init__(nn.Identity())
        self.automatic_optimization = False
        self.generator = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, FEATURES))
        self.discriminator = mlp()

    def training_step(self, batch, batch_idx):
        generator, discriminator = self.optimizers()
        fake = self.generator(torch.randn(len(batch[0]), 4))
        if self.current_epoch % 2:
            loss = F.softplus(-self.discriminator(fake)[:, 0]).mean()
            optimizer = generator
        else:
            real = F.softplus(-self.discriminator(batch[0])[:, 0]).mean()
            loss = real + F.softplus(self.discriminator(fake.detach())[:, 0]).mean()
            optimizer = discriminator
        self.toggle_optimizer(optimizer)
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        self.untoggle_optimizer(optimizer)

    def validation_step(self, batch, batch_idx):
        self.log("accuracy", self.discriminator(batch[0])[:, 0].mean())

    def configure_optimizers(self):
        return [
            torch.optim.Adam(self.generator.parameters(), 1e-2, weight_decay=0.1),
            torch.optim.Adam(self.discriminator.parameters(), 1e-2, weight_decay=0.1),
        ]


def test_a_gan_whose_nets_take_turns(fit):
    module, pruning, watch = GAN(), halving(monitor="accuracy"), Sparsities()
    fit(module, pruning, watch)
    assert watch.seen == HALVED
    assert zeros(*weights(module.generator)) == zeros(*weights(module.discriminator)) == 0.5


class Scaled(Classifier):
    """Manual mixed precision whose first steps overflow and are skipped."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
        self.steps = []

    def training_step(self, batch, batch_idx):
        optimizer = self.optimizers().optimizer
        optimizer.zero_grad()
        self.scaler.scale(4 * super().training_step(batch, batch_idx)).backward()
        before = self.net[0].weight.detach().clone()
        self.scaler.step(optimizer)
        self.scaler.update()
        self.steps.append(not torch.equal(before, self.net[0].weight))


def test_steps_that_a_gradient_scaler_skips(fit):
    module, watch = Scaled(), Sparsities()
    fit(module, halving(), watch)
    assert False in module.steps
    assert module.steps[-1]
    assert watch.seen == HALVED
    assert all(weight.isfinite().all() for weight in weights(module))
