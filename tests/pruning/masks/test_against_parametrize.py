"""Training with masks in place against training with masks as parametrizations, bit for bit."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from tests.pruning.masks.training import OPTIMIZERS, masks_of, small_net, train

LAYERS = (0, 2)


class Masked(nn.Module):
    """A parametrization that replaces pruned entries by zeros."""

    def __init__(self, shape):
        super().__init__()
        self.keep = torch.ones(shape, dtype=torch.bool)

    def forward(self, dense):
        return torch.where(self.keep, dense, 0.0)


class StraightThrough(Masked):
    """A parametrization that passes gradients to pruned entries, too (straight-through)."""

    def forward(self, dense):
        return dense + (super().forward(dense) - dense).detach()


class Pair:
    """The same net twice, with masks in place and with parametrizations."""

    def __init__(self, optimizer, parametrization):
        self.net = small_net()
        self.masks = masks_of(self.net, straight_through=parametrization is StraightThrough)
        self.optimizer = optimizer(self.net.parameters())
        self.masks.enforce(self.optimizer)
        self.optimizer.register_step_pre_hook(lambda stepped, *_: self.masks.before_step(stepped))
        self.reference = small_net()
        # in the order of a net without masks: the last bit of the gradient norm depends on it
        self.reference_optimizer = optimizer(list(self.reference.parameters()))
        for layer in (self.reference[index] for index in LAYERS):
            kind = parametrization(layer.weight.shape)
            parametrize.register_parametrization(layer, "weight", kind)

    def prune(self, *keeps):
        with self.masks.changing():
            for index, keep in zip(LAYERS, keeps, strict=True):
                self.masks[self.net[index].weight].copy_(keep)
                self.reference[index].parametrizations.weight[0].keep.copy_(keep)

    def train(self, steps):
        for _ in range(steps):
            train(self.net, self.optimizer)
            train(self.reference, self.reference_optimizer)
            for index in LAYERS:
                assert torch.equal(self.net[index].weight, self.reference[index].weight)
                assert torch.equal(self.net[index].bias, self.reference[index].bias)


def random_masks(density, seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(shape, generator=generator) < density for shape in ((16, 8), (4, 16))]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_two_rounds_give_the_same_weights(name):
    pair = Pair(OPTIMIZERS[name], Masked)
    pair.train(2)
    first = random_masks(0.5, seed=0)
    pair.prune(*first)
    pair.train(3)
    second = random_masks(0.5, seed=1)
    pair.prune(*(old & new for old, new in zip(first, second, strict=True)))
    pair.train(3)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_two_straight_through_rounds_give_the_same_weights(name):
    """Some weights pruned in the first round regrow in the second, with their trained values."""
    pair = Pair(OPTIMIZERS[name], StraightThrough)
    pair.train(2)
    pair.prune(*random_masks(0.5, seed=0))
    pair.train(3)
    pair.prune(*random_masks(0.5, seed=1))
    pair.train(3)
