"""Sparsities given by layer."""

import pytest

from tests.pruning.layers import linear_layers
from vitprune.pruning import Element, Magnitude, Method, PerLayer, masks
from vitprune.pruning.update import update_masks


def test_per_layer_sparsities_are_reached_with_the_schedule():
    layers = linear_layers([(10, 10), (10, 10), (10, 20)])
    update_masks(
        layers,
        Method(Magnitude(), Element(), PerLayer({"layer0": 0.2, "layer1": 0.8, "*": 0.4})),
        0.45,
    )
    assert [float((~masks.read(layer)).float().mean()) for layer in layers] == pytest.approx(
        [0.2, 0.8, 0.4]
    )
