"""Groups that span several layers."""

import pytest
from torch import nn

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


def test_a_block_has_several_mlps():
    """As those of MaxViT have, and of a decoder two attentions."""
    net = nn.ModuleDict(
        {"layers": nn.ModuleList([nn.ModuleDict({"block": mlp(8), "grid": mlp(12)})])}
    )
    layers = LayerSelection().select(net, Neuron.roles)
    assert {layer.block for layer in layers} == {0}
    assert [grouping.groups for grouping in Neuron().groupings(layers)] == [8, 12]


def mlp(neurons):
    """Return an MLP with names that are known."""
    return nn.ModuleDict({"fc1": nn.Linear(4, neurons), "fc2": nn.Linear(neurons, 4)})


def normed_mlp(neurons):
    """Return an MLP with a norm over its neurons, as EVA-02 has it."""
    return nn.ModuleDict({**mlp(neurons), "norm": nn.LayerNorm(neurons)})


@pytest.mark.parametrize(
    ("others", "advice"),
    [
        (normed_mlp, r"as every other .* Use a granularity within one layer, such as Element"),
        (mlp, r"Exclude 'layers\.0\.\*' by pruning\.layers\.exclude, or use a granularity"),
    ],
)
def test_what_to_do_about_a_norm_over_all_neurons(others, advice):
    net = nn.ModuleDict({"layers": nn.ModuleList([normed_mlp(8), others(8)])})
    with pytest.raises(UsageError, match=rf"layers\.0: it normalises all neurons.* {advice}"):
        Neuron().groupings(LayerSelection().select(net, Neuron.roles))


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
def test_loadable_keeps_the_same_share_of_stages_of_unequal_widths(allocation):
    """So that one `mlp_ratio` describes all stages."""
    net = tiny_swin()
    widths = {layer.block: layer.shape[0] for layer in find_layers(net) if layer.role == "mlp_in"}
    assert set(widths.values()) == {32, 64}
    for layer in find_layers(net):
        layer.weight.data *= 1 + (layer.block or 0)
    keep = prune_net(net, Neuron(loadable=True), 0.3, allocation)
    kept = {block: int(keep[block, "mlp_in"].any(1).sum()) for block in widths}
    assert {kept[block] / width for block, width in widths.items()} == {22 / 32}
    keep = prune_net(tiny_swin(), Head(loadable=True), 0.5, allocation)
    assert all(mask.float().mean() == 0.5 for mask in keep.values())


def test_loadable_needs_a_share_that_all_layers_have():
    net = nn.ModuleDict({"layers": nn.ModuleList([mlp(8), mlp(9)])})
    with pytest.raises(UsageError, match=r"8, 9 groups have no share in common.*loadable to false"):
        Neuron(loadable=True).groupings(LayerSelection().select(net, Neuron.roles))


@pytest.mark.parametrize("allocation", [Uniform(), Global()], ids=["uniform", "global"])
def test_loadable_keeps_as_many_everywhere(allocation):
    net = tiny_net()
    for layer in find_layers(net):
        layer.module.weight.data *= 1 + 5 * (
            layer.block or 0
        )  # a ranking over layers would empty the first block
    keep = prune_net(net, HeadDim(loadable=True), 0.5, allocation)
    assert {int(mask.any(1).sum()) for (_, role), mask in keep.items() if role != "attn_out"} == {
        16
    }
    keep = prune_net(net, Neuron(loadable=True, round_to=8), 0.4, allocation)
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
    layers = LayerSelection().select(tiny_net(), ATTENTION)
    allocation = PerLayer({**attention, "*": 0.25})
    Method(granularity=Row(), allocation=allocation).check(layers)
    with pytest.raises(
        UsageError,
        match="one sparsity to layers that are pruned together, and has .*q_proj 0.5, .* 0.25",
    ):
        Method(granularity=Head(), allocation=allocation).check(layers)
