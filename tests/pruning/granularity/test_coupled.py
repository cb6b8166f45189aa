"""Groups that span several layers."""

from dataclasses import replace

import pytest

from tests.conftest import tiny_net, tiny_swin
from tests.pruning.layers import prune_net
from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import find_layers
from vitprune.pruning import (
    Combined,
    Global,
    Head,
    HeadDim,
    LayerSelection,
    Method,
    Neuron,
    PerLayer,
    Random,
    Row,
    Uniform,
)
from vitprune.pruning.granularity.coupled import ATTENTION


def test_two_layers_of_one_role_in_a_block_are_not_mistaken_for_one():
    layer = next(layer for layer in find_layers(tiny_net()) if layer.role == "mlp_in")
    with pytest.raises(
        UsageError, match="needs one mlp_in in each block, and here are .* and other"
    ):
        Neuron().groupings([layer, replace(layer, name="other")])


@pytest.mark.parametrize("granularity", [Neuron(), Head(), Combined([Neuron(), Head()])])
def test_every_block_of_every_stage_is_pruned(granularity):
    net = tiny_swin()
    keep = prune_net(net, granularity, 0.5)
    assert {block for block, _ in keep} == {0, 1, 2}
    for mask in keep.values():
        assert mask.float().mean() == 0.5
    assert {layer.name: layer.block for layer in find_layers(net)}[
        "swin.encoder.layers.0.downsample.reduction"
    ] is None


@pytest.mark.parametrize("allocation", [Uniform(), Global()], ids=["uniform", "global"])
def test_uniform_keeps_as_many_everywhere(allocation):
    net = tiny_net()
    for layer in find_layers(net):
        layer.module.weight.data *= 1 + 5 * (
            layer.block or 0
        )  # a ranking over layers would empty the first block
    keep = prune_net(net, HeadDim(uniform=True), 0.5, allocation)
    assert {int(mask.any(1).sum()) for (_, role), mask in keep.items() if role != "attn_out"} == {
        16
    }
    keep = prune_net(net, Neuron(uniform=True, round_to=8), 0.4, allocation)
    assert [int(keep[block, "mlp_in"].any(1).sum()) for block in (0, 1)] == [40, 40]


def test_round_to_keeps_multiples():
    net = tiny_net()
    for layer in find_layers(net):
        layer.module.weight.data *= 1 + (layer.block or 0)
    keep = prune_net(net, Neuron(round_to=8), 0.55, Global())
    counts = [int(keep[block, "mlp_in"].any(1).sum()) for block in (0, 1)]
    assert all(count % 8 == 0 for count in counts)
    assert counts[0] < counts[1]
    assert abs(sum(counts) - 0.45 * 128) <= 8


@pytest.mark.parametrize("granularity", [Neuron(), Head(), HeadDim(), Neuron(round_to=8)], ids=str)
def test_something_survives_in_every_layer(granularity):
    keep = prune_net(tiny_net(), granularity, 0.99, Global(), Random())
    for mask in keep.values():
        assert mask.any()


@pytest.mark.parametrize("attention", [{"query": 0.5}, {"query": 0.5, "key": 0.5}])
def test_layers_pruned_as_one_group_need_one_sparsity(attention):
    layers = LayerSelection(roles=[*ATTENTION]).select(tiny_net())
    allocation = PerLayer({**attention, "*": 0.25})
    Method(granularity=Row(), allocation=allocation).check(layers)
    with pytest.raises(
        UsageError,
        match="one sparsity to layers that are pruned together, and has .*q_proj 0.5, .* 0.25",
    ):
        Method(granularity=Head(), allocation=allocation).check(layers)
