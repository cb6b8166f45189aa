"""Every criterion against a computation of its formula by brute force, in float64, on a tiny layer."""

import itertools

import pytest
import torch
from lightning import Callback
from lightning.pytorch.plugins import MixedPrecision
from torch import nn
from torch.utils.checkpoint import checkpoint

from tests.conftest import Regression, quiet_trainer, random_batches, regression_loader, tiny_net
from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer, find_layers
from vitprune.pruning import (
    Element,
    Fisher,
    LayerSelection,
    Method,
    NofM,
    SparseGPT,
    Taylor,
    Wanda,
    masks,
)
from vitprune.pruning.criteria.calibration import CalibrationBatch, calibrate
from vitprune.pruning.criteria.criterion import Scoring
from vitprune.pruning.update import update_masks
from vitprune.training.pruning.calibration import calibrate_on

torch.manual_seed(0)
X = torch.randn(5, 3, 8)  # (images, tokens, in)
Y = torch.randint(6, (5, 3))


class Toy(nn.Module):
    """A linear layer on tokens; the loss is the mean cross-entropy over images, of the sum over tokens."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 6)

    def loss(self, x, y, weight=None):
        logits = (
            nn.functional.linear(x, weight, self.linear.bias.to(x))
            if weight is not None
            else self.linear(x)
        )
        return nn.functional.cross_entropy(
            logits.flatten(0, 1), y.flatten(), reduction="sum"
        ) / len(x)


@pytest.fixture
def toy():
    torch.manual_seed(1)
    net = Toy()
    layer = Layer("linear", net.linear, "other", None)
    masks.attach([layer])
    return net, layer


def learn(criterion, net, layer, sizes):
    batches = [
        CalibrationBatch(lambda x=x, y=y: net.loss(x, y), len(x))
        for x, y in zip(X.split(sizes), Y.split(sizes), strict=True)
    ]
    return calibrate(criterion, [layer], batches)["linear"]


def gradients(net, layer):
    """The gradient of each image's loss, (images, out, in), by autograd in float64."""
    weight = layer.weight.detach().double()
    return torch.stack(
        [
            torch.autograd.functional.jacobian(
                lambda w, i=i: net.loss(X[i : i + 1].double(), Y[i : i + 1], w), weight
            )
            for i in range(5)
        ]
    )


@pytest.mark.parametrize("sizes", [[5], [2, 2, 1], [1] * 5])
class TestFormulas:
    """And the batches that a sample comes in make no difference."""

    def score(self, criterion, net, layer, sizes):
        return criterion.score(
            layer.weight.detach(), Scoring("linear", 1, 42, learn(criterion, net, layer, sizes))
        ).double()

    def test_taylor(self, toy, sizes):
        net, layer = toy
        expected = layer.weight.detach().double() * gradients(net, layer).mean(0)
        torch.testing.assert_close(
            self.score(Taylor(joint=True), net, layer, sizes), expected, rtol=1e-4, atol=1e-6
        )
        torch.testing.assert_close(
            self.score(Taylor(), net, layer, sizes), expected.abs(), rtol=1e-4, atol=1e-6
        )

    def test_fisher(self, toy, sizes):
        net, layer = toy
        expected = layer.weight.detach().double().square() * gradients(net, layer).square().mean(0)
        torch.testing.assert_close(
            self.score(Fisher(), net, layer, sizes), expected, rtol=1e-4, atol=1e-8
        )

    def test_wanda(self, toy, sizes):
        net, layer = toy
        expected = (
            layer.weight.detach().double().abs() * X.double().flatten(0, 1).norm(dim=0) / 5**0.5
        )
        torch.testing.assert_close(
            self.score(Wanda(), net, layer, sizes), expected, rtol=1e-4, atol=1e-6
        )

    def test_sparse_gpt(self, toy, sizes):
        net, layer = toy
        hessian = damped_hessian()
        weight = layer.weight.detach().double()
        conditional = torch.stack([hessian[j:, j:].inverse()[0, 0] for j in range(8)])
        expected = weight.square() / conditional
        torch.testing.assert_close(
            self.score(SparseGPT(), net, layer, sizes), expected, rtol=1e-3, atol=1e-6
        )


def damped_hessian():
    tokens = X.double().flatten(0, 1)
    hessian = tokens.T @ tokens / 5
    return hessian + 0.01 * hessian.diagonal().mean() * torch.eye(8, dtype=torch.float64)


def test_gradients_of_masked_weights_are_dense(toy):
    """What regrowth asks for: the gradient by the weight that a masked place would have."""
    net, layer = toy
    masks.read(layer)[:, ::2] = False
    torch.testing.assert_close(
        learn(Taylor(), net, layer, [5]).double(),
        gradients(net, layer).mean(0),
        rtol=1e-4,
        atol=1e-6,
    )


def test_sparse_gpt_mends_column_by_column_as_optimal_brain_surgery_does(toy):
    net, layer = toy
    criterion = SparseGPT()
    scoring = Scoring("linear", 1, 42, learn(criterion, net, layer, [5]))
    keep = torch.rand(6, 8, generator=torch.Generator().manual_seed(5)) > 0.5
    expected, hessian = layer.weight.detach().double().clone(), damped_hessian()
    for row, column in itertools.product(
        range(6), range(8)
    ):  # columns to the left are settled, those to the right adapt
        if not keep[row, column]:
            inverse = hessian[column:, column:].inverse()
            expected[row, column:] -= expected[row, column] / inverse[0, 0] * inverse[0]
    mended = criterion.update_weights(layer.weight.detach(), keep, scoring)
    torch.testing.assert_close(mended.double(), expected * keep, rtol=1e-3, atol=1e-5)
    inputs = X.flatten(0, 1)
    dense, cut = layer.weight.detach(), layer.weight.detach() * keep
    assert (inputs @ (mended - dense).T).square().sum() < (inputs @ (cut - dense).T).square().sum()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_sparse_gpt_mends_weights_of_any_precision(toy, dtype):
    net, layer = toy
    criterion = SparseGPT()
    scoring = Scoring("linear", 1, 42, learn(criterion, net, layer, [5]))
    keep = torch.rand(6, 8, generator=torch.Generator().manual_seed(5)) > 0.5
    weight = layer.weight.detach()
    mended = criterion.update_weights(weight.to(dtype), keep, scoring)
    assert mended.dtype == dtype
    torch.testing.assert_close(
        mended.float(), criterion.update_weights(weight, keep, scoring), rtol=2e-2, atol=2e-3
    )


def test_sparse_gpt_mends_wide_layers_in_blocks_as_in_one():
    """More columns than are gathered for one update."""
    torch.manual_seed(0)
    weight, inputs = torch.randn(4, 300), torch.randn(1, 900, 300)
    criterion = SparseGPT()
    factor = criterion.conclude(criterion.observe(inputs, torch.empty(0)).double())
    keep = torch.rand(4, 300) > 0.5
    expected = weight.clone()
    for column in range(300):
        error = torch.where(keep[:, column], 0, expected[:, column] / factor[column, column])
        expected[:, column:] -= error.outer(factor[column, column:])
    mended = criterion.update_weights(weight, keep, Scoring("x", 1, 42, factor))
    torch.testing.assert_close(mended, expected * keep, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("granularity", [Element(), NofM(2, 4)], ids=["element", "2:4"])
def test_sparse_gpt_leaves_the_outputs_closer_than_a_cut_does(granularity):
    def error(mend):
        net = tiny_net(initializer_range=0.2)
        layers = LayerSelection().select(net)
        masks.attach(layers)
        batches = random_batches(net, 64, [64])
        with torch.no_grad():
            before = net(
                pixel_values=torch.randn(64, 3, 16, 16, generator=torch.Generator().manual_seed(3))
            ).logits
        criterion = SparseGPT()
        statistics = calibrate(criterion, layers, batches)
        if not mend:
            criterion.updates_weights = False
        update_masks(layers, Method(criterion, granularity), 0.5, statistics=statistics)
        assert all(abs(float((layer.weight == 0).float().mean()) - 0.5) < 0.01 for layer in layers)
        with torch.no_grad():
            after = net(
                pixel_values=torch.randn(64, 3, 16, 16, generator=torch.Generator().manual_seed(3))
            ).logits
        return float((after - before).square().mean())

    assert error(mend=True) < 0.9 * error(mend=False)


def test_wanda_compares_within_outputs_as_published_or_within_the_layer(toy):
    net, layer = toy
    statistics = {"linear": learn(Wanda(), net, layer, [5])}
    update_masks([layer], Method(Wanda()), 0.5, statistics=statistics)
    assert masks.read(layer).sum(1).tolist() == [4] * 6
    masks.read(layer).fill_(True)
    update_masks([layer], Method(Wanda(per_output=False)), 0.5, statistics=statistics)
    assert masks.read(layer).sum() == 24
    assert masks.read(layer).sum(1).unique().numel() > 1


@pytest.mark.parametrize(
    "criterion", [Taylor(), Fisher(), Wanda(), SparseGPT()], ids=lambda c: type(c).__name__
)
def test_a_layer_that_is_called_twice_learns_from_both_calls(toy, criterion):
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
            masks.attach(layers)
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
    masks.attach([patches])
    batches = random_batches(net)
    learned = calibrate(Taylor(), [patches], batches)[patches.name].view(patches.shape)
    net.zero_grad()
    (sum(batch.loss() * batch.images for batch in batches) / 6).backward()
    torch.testing.assert_close(learned, masks.original(patches).grad, rtol=1e-3, atol=1e-6)


def test_calibration_leaves_no_gradients_and_no_hooks():
    net = tiny_net()
    layers = LayerSelection().select(net)
    masks.attach(layers)
    calibrate(Fisher(), layers, random_batches(net))
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not any(module._forward_hooks for module in net.modules())


def test_calibration_does_without_trainable_parameters():
    net = tiny_net()
    layers = LayerSelection().select(net)
    masks.attach(layers)
    expected = calibrate(Fisher(), layers, random_batches(net))
    net.requires_grad_(False)
    frozen = calibrate(Fisher(), layers, random_batches(net))
    for name in expected:
        torch.testing.assert_close(frozen[name], expected[name])


def test_what_cannot_be_learned_about_is_named():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.once, self.never = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x):
            return x + self.once(torch.ones(7, 3)).sum()

    net, x = Odd(), torch.randn(4, 3)
    for name, message in {
        "once": "once: it is not called for each image",
        "never": "never: its forward is not called in",
    }.items():
        layers = [layer for layer in find_layers(net) if layer.name == name]
        masks.attach(layers)
        with pytest.raises(UsageError, match=f"{message}.*pruning.layers.exclude"):
            calibrate(Wanda(), layers, [CalibrationBatch(lambda: net(x).sum(), 4)])
