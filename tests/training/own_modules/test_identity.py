"""One mask for each Parameter, however many modules share it."""

import torch
from torch import nn

from tests.training.own_modules.modules import (
    HALVED,
    WIDTH,
    Classifier,
    Sparsities,
    halving,
    mlp,
    weights,
    zeros,
)
from vitprune.pruning import LayerSelection, Magnitude, Masks, Method, Random
from vitprune.pruning.update import update_masks


def test_an_embedding_tied_to_the_output_layer():
    embedding, output = nn.Embedding(8, 4), nn.Linear(4, 8, bias=False)
    output.weight = embedding.weight
    net = nn.Sequential(embedding, output)
    masks = Masks(LayerSelection().select(net))
    assert [layer.weight for layer in masks.layers] == [embedding.weight]
    update_masks(masks, Method(Magnitude()), 0.5)
    logits = net(torch.arange(8))
    masks.remove()
    assert torch.equal(net(torch.arange(8)), logits)
    assert output.weight is embedding.weight
    assert zeros(embedding.weight) == 0.5


def shared_weight() -> nn.Sequential:
    """Return four layers, of which two own the same Parameter and have biases of their own."""
    net = mlp()
    twin = nn.Linear(WIDTH, WIDTH)
    twin.weight = net[2].weight
    return nn.Sequential(*net[:4], twin, nn.ReLU(), net[4])


def shared_module() -> nn.Sequential:
    """Return a net that calls the same layer twice."""
    net = mlp()
    return nn.Sequential(*net[:4], net[2], nn.ReLU(), net[4])


def check_shared(fit, net):
    module, pruning, watch = Classifier(net), halving(criterion=Random()), Sparsities()
    fit(module, pruning, watch)
    assert watch.seen == HALVED
    assert pruning.state.sparsity == zeros(*weights(module)) == 0.5
    assert net[4].weight is net[2].weight
    x = torch.ones(2, 16)
    logits = module(x)
    pruning.masks.remove()
    assert torch.equal(module(x), logits)
    assert zeros(net[2].weight) == 0.5


def test_two_modules_that_share_a_parameter(fit):
    check_shared(fit, shared_weight())


def test_a_module_that_is_called_twice(fit):
    check_shared(fit, shared_module())


def test_masks_are_found_by_parameter_not_by_value():
    net = mlp()
    masks = Masks(LayerSelection().select(net))
    assert net[0].weight in masks
    assert net[0].bias not in masks
    assert mlp()[0].weight not in masks
    assert masks[net[0].weight].shape == net[0].weight.shape
