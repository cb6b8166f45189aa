"""Calibration statistics of layers that are called in unusual ways."""

import pytest
import torch
from lightning import Callback
from lightning.pytorch.plugins import MixedPrecision
from torch import nn
from torch.utils.checkpoint import checkpoint

from tests.conftest import Regression, quiet_trainer, random_batches, regression_loader, tiny_net
from tests.pruning.criteria.toy import X, Y, learn
from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import find_layers
from vitprune.pruning import Fisher, LayerSelection, SparseGPT, Taylor, Wanda
from vitprune.pruning.criteria.calibration import CalibrationBatch, calibrate
from vitprune.training.pruning.calibration import calibrate_on


@pytest.mark.parametrize(
    "criterion", [Taylor(), Fisher(), Wanda(), SparseGPT()], ids=lambda c: type(c).__name__
)
def test_a_layer_that_is_called_twice_is_observed_in_both_calls(toy, criterion):
    """As from one call that sees the tokens of both."""
    net, layer = toy
    x, y = X.flip(0) + 1, Y.flip(0)

    def twice():
        return net.loss(X, Y) + net.loss(x, y)

    both = calibrate(criterion, [layer], [CalibrationBatch(twice, 5)])["linear"]
    at_once = calibrate(
        criterion,
        [layer],
        [CalibrationBatch(lambda: net.loss(torch.cat([X, x], 1), torch.cat([Y, y], 1)), 5)],
    )["linear"]
    torch.testing.assert_close(both, at_once, rtol=1e-4, atol=1e-6)


class Sine(nn.Module):
    """A layer and what comes after it, perhaps checkpointed."""

    def __init__(self, linear, again):
        super().__init__()
        self.linear, self.again = linear, again

    def forward(self, x):
        return checkpoint(self.run, x, use_reentrant=False) if self.again else self.run(x)

    def run(self, x):
        return self.linear(x).sin()


def test_a_layer_that_runs_again_in_the_backward_pass_counts_once(toy):
    net, layer = toy
    learned = []
    for again in (False, True):
        net.linear = Sine(layer.module, again)
        learned.append(learn(Fisher(), net, layer, [5]))
    torch.testing.assert_close(*learned)


class Small(Regression):
    """Its gradients vanish in half precision, but for a loss scaler."""

    def training_step(self, batch, batch_idx):
        return 1e-9 * super().training_step(batch, batch_idx)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_small_gradients_do_not_vanish_in_mixed_precision(tmp_path, precision):
    plugin = (
        MixedPrecision(precision, "cpu") if "mixed" in precision else None
    )  # by its name, CPUs would get bf16 for 16
    learned = {}

    class Learn(Callback):
        def on_train_start(self, trainer, pl_module):
            layers = LayerSelection().select(pl_module)
            learned.update(calibrate_on(trainer, pl_module, Taylor(), layers, images=32, seed=1))

    trainer = quiet_trainer(
        tmp_path, plugins=plugin, callbacks=[Learn()], max_steps=1, limit_val_batches=0
    )
    trainer.fit(Small(), regression_loader(), regression_loader())
    assert all(
        value.count_nonzero() > 0.6 * value.numel() for value in learned.values()
    )  # ReLU leaves some without


def test_calibration_takes_a_convolution_by_its_patches():
    net = tiny_net()
    patches = next(layer for layer in find_layers(net) if layer.role == "patch_embed")
    batches = random_batches(net)
    learned = calibrate(Taylor(), [patches], batches)[patches.name].view(patches.shape)
    net.zero_grad()
    (sum(batch.loss() * batch.images for batch in batches) / 6).backward()
    torch.testing.assert_close(learned, patches.weight.grad, rtol=1e-3, atol=1e-6)


def test_calibration_leaves_no_gradients_and_no_hooks():
    net = tiny_net()
    layers = LayerSelection().select(net)
    calibrate(Fisher(), layers, random_batches(net))
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not any(module._forward_hooks for module in net.modules())


def test_calibration_does_without_trainable_parameters():
    net = tiny_net()
    layers = LayerSelection().select(net)
    expected = calibrate(Fisher(), layers, random_batches(net))
    net.requires_grad_(False)
    frozen = calibrate(Fisher(), layers, random_batches(net))
    for name in expected:
        torch.testing.assert_close(frozen[name], expected[name])


def test_layers_that_cannot_be_observed_are_named():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.once, self.never = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x):
            return x + self.once(torch.ones(7, 3)).sum()

    net, x = Odd(), torch.randn(4, 3)
    for name, message in {
        "once": "once: it is not called for each image",
        "never": "never: training_step calls neither its forward",
    }.items():
        layers = [layer for layer in find_layers(net) if layer.name == name]
        with pytest.raises(UsageError, match=f"{message}.*pruning.layers.exclude"):
            calibrate(Wanda(), layers, [CalibrationBatch(lambda: net(x).sum(), 4)])
