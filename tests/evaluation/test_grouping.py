"""Layers that are pruned together in a scan."""

from tests.conftest import tiny_net
from vitprune.evaluation.grouping import group_layers
from vitprune.pruning import (
    Combined,
    Head,
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
