"""Sparsities given by layer."""

import pytest
from torch import nn

from tests.conftest import tiny_net
from tests.pruning.layers import linear_layers, sparsities_after
from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import find_layers
from vitprune.pruning import (
    Element,
    LayerSelection,
    PerLayer,
    Row,
    Uniform,
)


def test_per_layer_sparsities_are_reached_with_the_schedule():
    masks = linear_layers([(10, 10), (10, 10), (10, 20)])
    allocation = PerLayer({"layer0": 0.2, "layer1": 0.8, "*": 0.4})
    assert sparsities_after(masks, 0.45, allocation) == pytest.approx([0.2, 0.8, 0.4])


@pytest.mark.parametrize(
    ("sparsities", "message"), [({}, "none at all"), ({"query": 1.5, "*": 0.5}, "{'query': 1.5}")]
)
def test_impossible_sparsities_are_refused(sparsities, message):
    with pytest.raises(UsageError, match=rf"needs sparsities in \[0, 1\), not {message}"):
        PerLayer(sparsities)


@pytest.mark.parametrize(
    ("sparsities", "message"),
    [
        ({"patch_embed": 0.5}, r"names 'patch_embed', which matches none(.|\n)*q_proj"),
        ({"query": 0.5}, r"no sparsity for .*k_proj \(role key\). Add it, or '\*'"),
    ],
)
def test_sparsities_must_fit_the_layers(sparsities, message):
    layers = LayerSelection().select(tiny_net())
    with pytest.raises(UsageError, match=message):
        PerLayer(sparsities).check(layers, Element())


def test_the_fixed_sparsity_is_the_weighted_average():
    groupings = Row().groupings(linear_layers([(10, 10), (10, 30)]).layers)
    assert PerLayer({"layer0": 0.2, "*": 0.6}).fixed_sparsity(groupings) == pytest.approx(0.5)
    assert Uniform().fixed_sparsity(groupings) is None


def test_a_layer_whose_name_is_that_of_a_role_is_found_by_name():
    layers = find_layers(nn.ModuleDict({"query": nn.Linear(2, 2), "out": nn.Linear(2, 2)}))
    assert {layer.role for layer in layers} == {"other"}
    PerLayer({"query": 0.2, "out": 0.4}).check(layers, Element())
