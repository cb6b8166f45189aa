"""Fused weights: each part is pruned as a weight of its own would be."""

import pytest
import torch
from torch import nn

from vitprune.pruning import (
    ERK,
    Global,
    Head,
    HeadDim,
    LayerSelection,
    Magnitude,
    Masks,
    Method,
    Movement,
    Neuron,
    PerLayer,
    Uniform,
)
from vitprune.pruning.update import update_masks


class Attention(nn.Module):
    """Weights of an attention with four heads of six dimensions, fused or not."""

    def __init__(self, fused):
        super().__init__()
        self.num_heads = 4
        self.proj = nn.Linear(24, 24)
        inputs = [nn.Linear(24, 24) for _ in range(3)]
        for scale, layer in enumerate(inputs, start=1):
            layer.weight.data *= scale
        if fused == "qkv":
            self.qkv = concatenated(inputs)
        elif fused == "kv":
            self.q = inputs[0]
            self.kv = concatenated(inputs[1:])
        else:
            self.q, self.k, self.v = inputs


class GatedMlp(nn.Module):
    """Weights of an MLP with 16 neurons and a gate, fused or not."""

    def __init__(self, fused):
        super().__init__()
        self.fc2 = nn.Linear(16, 24)
        inputs = [nn.Linear(24, 16), nn.Linear(24, 16)]
        if fused:
            self.fc1 = concatenated(inputs)
        else:
            self.fc1_x, self.fc1_g = inputs


def concatenated(layers):
    """Return a linear layer with the outputs of several, one after the other."""
    fused = nn.Linear(layers[0].in_features, sum(layer.out_features for layer in layers))
    fused.weight.data = torch.cat([layer.weight.data for layer in layers])
    return fused


def masks_of(kind, fused, granularity):
    """Return the masks of two blocks, the second with larger weights."""
    blocks = []
    for scale in (1, 1.5):
        torch.manual_seed(0)
        blocks.append(kind(fused))
        for parameter in blocks[-1].parameters():
            parameter.data *= scale
    net = nn.ModuleDict({"layers": nn.ModuleList(blocks)})
    return Masks(LayerSelection().select(net, granularity.roles))


METHODS = [
    Method(Magnitude(), Head()),
    Method(Magnitude(), Head(), Global()),
    Method(Magnitude(), Head(), ERK()),
    Method(Magnitude(), HeadDim(), Uniform()),
    Method(Magnitude(), HeadDim(), Global()),
    Method(Magnitude(), HeadDim(), ERK()),
    Method(Magnitude(), HeadDim(), PerLayer({"layers.0.*": 0.3, "*": 0.5})),
    Method(Magnitude(p=2), HeadDim(round_to=2, loadable=True), Global()),
    Method(Movement(), HeadDim()),
]


@pytest.mark.parametrize("fused", ["qkv", "kv"])
@pytest.mark.parametrize("method", METHODS)
def test_an_attention_with_fused_weights_is_pruned_like_any_other(method, fused):
    found = []
    for how in (None, fused):
        masks = masks_of(Attention, how, method.granularity)
        statistics = {}
        if method.criterion.straight_through:
            statistics = {layer.name: -layer.weight.detach().abs() for layer in masks.layers}
        for sparsity in (0.25, 0.4):  # in the second round a part is pruned already
            update_masks(masks, method, sparsity, statistics=statistics)
        found.append(torch.cat([masks[layer.weight] for layer in masks.layers]))
    assert torch.equal(*found)
    assert abs(float(found[0].float().mean()) - 0.6) < 0.1


@pytest.mark.parametrize("allocation", [Uniform(), Global(), ERK()])
def test_an_mlp_with_a_fused_gate_is_pruned_like_any_other(allocation):
    method = Method(Magnitude(), Neuron(), allocation)
    for sparsity in (0.25, 0.5):
        separate = masks_of(GatedMlp, False, Neuron())
        fused = masks_of(GatedMlp, True, Neuron())
        for masks in (separate, fused):
            update_masks(masks, method, sparsity)
        down, up, gate, *_ = (separate[layer.weight] for layer in separate.layers)
        fused_down, up_and_gate, *_ = (fused[layer.weight] for layer in fused.layers)
        assert torch.equal(up_and_gate, torch.cat([up, gate]))
        assert torch.equal(up, gate)
        assert torch.equal(down, fused_down)
        assert torch.equal(down.any(0), up.any(1))


def test_weights_pruned_by_another_granularity_before_count():
    masks = masks_of(Attention, "qkv", HeadDim())
    with masks.changing():
        for layer in masks.layers:
            masks[layer.weight][:, :4] = False  # a sixth of every part, but of few groups all
    update_masks(masks, Method(granularity=HeadDim()), 0.5)
    assert masks.pruned_fraction() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("style", ["halves", "neighbours"])
def test_rotary_dimensions_are_pruned_in_pairs(style):
    torch.manual_seed(0)
    net = nn.ModuleDict({"layers": nn.ModuleList([Attention("qkv")]), "rope": nn.Identity()})
    net.layers[0].rotate_half = style == "halves"
    masks = Masks(LayerSelection().select(net, HeadDim.roles))
    update_masks(masks, Method(granularity=HeadDim()), 1 / 3)
    qkv = masks[net.layers[0].qkv.weight].any(1)
    query, key, value = qkv.view(3, 4, 6)
    pairs = query.view(4, 2, 3) if style == "halves" else query.view(4, 3, 2).transpose(1, 2)
    assert torch.equal(pairs[:, 0], pairs[:, 1])
    assert torch.equal(query, key)
    assert query.sum(1).tolist() == value.sum(1).tolist() == [4] * 4
    single = value.view(4, 2, 3) if style == "halves" else value.view(4, 3, 2).transpose(1, 2)
    assert not torch.equal(single[:, 0], single[:, 1])


def test_multiples_of_dimensions_are_those_of_pairs():
    net = nn.ModuleDict({"layers": nn.ModuleList([Attention("qkv")]), "rope": nn.Identity()})
    layers = LayerSelection().select(net, HeadDim.roles)
    scores, values = HeadDim(round_to=6).groupings(layers)
    assert (scores.groups, scores.round_to) == (4 * 3, 3)
    assert (values.groups, values.round_to) == (4 * 6, 6)
