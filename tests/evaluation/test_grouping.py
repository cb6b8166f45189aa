"""Layers that are pruned together in a scan."""

import timm
from torch import nn

from tests.conftest import tiny_net
from vitprune.evaluation.grouping import group_layers
from vitprune.pruning import (
    Combined,
    Head,
    HeadDim,
    LayerSelection,
    Neuron,
)


def test_layers_pruned_as_one_group_are_scanned_as_one():
    layers = LayerSelection().select(tiny_net(), Combined([Head(), Neuron()]).roles)
    groups = group_layers(layers, "layer", Combined([Head(), Neuron()]))
    assert [len(members) for members in groups.values()] == [4, 4, 2, 2]
    assert set(groups) == {
        "block 0 attention",
        "block 0 mlp",
        "block 1 attention",
        "block 1 mlp",
    }
    by_role = group_layers(layers, "role", Combined([Head(), Neuron()]))
    assert {name: len(members) for name, members in by_role.items()} == {
        "attention": 8,
        "mlp": 4,
    }


def test_parts_of_a_fused_weight_are_scanned_as_one():
    net = timm.create_model("vit_tiny_patch16_224", img_size=32, embed_dim=32, depth=2, num_heads=4)
    layers = LayerSelection().select(net, HeadDim.roles)
    for by, name, size in (("layer", "block 0 attention", 2), ("role", "attention", 4)):
        members = group_layers(layers, by, HeadDim())[name]
        assert len(members) == len({layer.name for layer in members}) == size


def test_several_mlps_of_a_block_are_scanned_apart():
    block = nn.ModuleDict({name: mlp() for name in ("window", "grid")})
    layers = LayerSelection().select(nn.ModuleDict({"layers": nn.ModuleList([block])}))
    assert set(group_layers(layers, "layer", Neuron())) == {"layers.0.window", "layers.0.grid"}
    assert set(group_layers(layers, "block", Neuron())) == {"block 0"}


def mlp():
    """Return an MLP with names that are known."""
    return nn.ModuleDict({"fc1": nn.Linear(4, 8), "fc2": nn.Linear(8, 4)})
