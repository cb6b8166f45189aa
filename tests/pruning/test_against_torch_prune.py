"""Our masks against those of `torch.nn.utils.prune`, element by element if deterministic."""

import copy

import pytest
import torch
from torch.nn.utils import prune

from tests.conftest import tiny_net
from vitprune.model.anatomy.layers import Layer, find_layers
from vitprune.pruning import (
    Column,
    Element,
    Global,
    LayerSelection,
    Magnitude,
    Masks,
    Method,
    Random,
    Row,
    Uniform,
)
from vitprune.pruning.update import update_masks

SPARSITIES = [0.0, 0.1, 0.333, 0.5, 0.8, 0.97]


def our_masks(layers, sparsity, granularity, criterion=None, allocation=None):
    masks = Masks(layers)
    method = Method(criterion or Magnitude(), granularity, allocation or Uniform())
    update_masks(masks, method, sparsity)
    return {layer.name: masks[layer.weight].float() for layer in layers}


@pytest.fixture
def layer():
    torch.manual_seed(3)
    return Layer("layer", torch.nn.Linear(24, 40), "other", None)


@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_l1_unstructured(layer, sparsity):
    theirs = prune.l1_unstructured(copy.deepcopy(layer.module), "weight", sparsity).weight_mask
    assert torch.equal(our_masks([layer], sparsity, Element())["layer"], theirs)


@pytest.mark.parametrize("sparsity", SPARSITIES)
@pytest.mark.parametrize("n", [1, 2, float("inf")])
@pytest.mark.parametrize("dim", [0, 1])
def test_ln_structured(layer, sparsity, n, dim):
    theirs = prune.ln_structured(
        copy.deepcopy(layer.module), "weight", sparsity, n=n, dim=dim
    ).weight_mask
    ours = our_masks([layer], sparsity, [Row(), Column()][dim], Magnitude(p=n))["layer"]
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("dim", [0, 1])
def test_ln_structured_of_a_convolution(dim):
    torch.manual_seed(3)
    layer = Layer("conv", torch.nn.Conv2d(6, 10, 3), "other", None)
    theirs = prune.ln_structured(
        copy.deepcopy(layer.module), "weight", 0.4, n=2, dim=dim
    ).weight_mask
    assert torch.equal(
        our_masks([layer], 0.4, [Row(), Column()][dim], Magnitude(p=2))["conv"], theirs
    )


@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_global_unstructured_of_a_whole_vit(family, sparsity):
    net = tiny_net(family)
    reference = copy.deepcopy(net)
    chosen = LayerSelection().select(reference)
    prune.global_unstructured(
        [(c.module, "weight") for c in chosen], prune.L1Unstructured, amount=sparsity
    )
    ours = our_masks(LayerSelection().select(net), sparsity, Element(), allocation=Global())
    for layer in chosen:
        assert torch.equal(ours[layer.name], layer.module.weight_mask), layer.name


@pytest.mark.parametrize("granularity", [Element(), Row(), Column()])
def test_random_methods_prune_as_many(layer, granularity):
    """Theirs draws from the global generator, so only what is certain about it can be compared."""
    method = {Element: prune.random_unstructured}.get(type(granularity), prune.random_structured)
    options = (
        {}
        if isinstance(granularity, Element)
        else {"dim": 0 if isinstance(granularity, Row) else 1}
    )
    theirs = method(copy.deepcopy(layer.module), "weight", 0.3, **options).weight_mask
    ours = our_masks([layer], 0.3, granularity, Random())["layer"]
    assert ours.sum() == theirs.sum()
    assert sorted(ours.sum(1).tolist()) == sorted(theirs.sum(1).tolist()) or isinstance(
        granularity, Element
    )


def test_local_pruning_of_a_whole_vit():
    """At a sparsity that divides every layer; else the exact total moves single weights."""
    net = tiny_net()
    reference = copy.deepcopy(net)
    ours = our_masks(LayerSelection().select(net), 0.25, Element())
    for layer in find_layers(reference):
        if layer.name in ours:
            theirs = prune.l1_unstructured(layer.module, "weight", 0.25).weight_mask
            assert torch.equal(ours[layer.name], theirs), layer.name
