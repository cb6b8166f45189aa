"""Calibrated criteria against their formulas by brute force, in float64."""

import pytest
import torch

from tests.pruning.criteria.toy import X, Y, damped_hessian, learn
from vitprune.pruning import Fisher, Masks, SparseGPT, Taylor, Variance, Wanda
from vitprune.pruning.criteria.criterion import Scoring


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

    def test_variance(self, toy, sizes):
        net, layer = toy
        variances = X.double().flatten(0, 1).var(0, correction=0)
        expected = layer.weight.detach().double().square() * variances
        torch.testing.assert_close(
            self.score(Variance(), net, layer, sizes), expected, rtol=1e-4, atol=1e-6
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


def test_gradients_of_pruned_weights_are_dense(toy):
    """Regrowth needs them, although the masks set the gradients in training to zero."""
    net, layer = toy
    masks = Masks([layer])
    masks.enforce()
    with masks.changing():
        masks[layer.weight][:, ::2] = False
    torch.testing.assert_close(
        learn(Taylor(), net, layer, [5]).double(),
        gradients(net, layer).mean(0),
        rtol=1e-4,
        atol=1e-6,
    )
