"""Groups that span layers: what falls together, what survives, and that the network does not notice the rest."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.conftest import tiny_net, tiny_swin
from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer, find_layers
from vitprune.pruning import (
    ERK,
    LAMP,
    Branch,
    Column,
    Combined,
    Element,
    Global,
    Head,
    HeadDim,
    LayerSelection,
    Magnitude,
    Method,
    Neuron,
    NofM,
    PerLayer,
    Random,
    Row,
    Tile,
    Uniform,
    masks,
)
from vitprune.pruning.granularity.coupled import ATTENTION
from vitprune.pruning.update import update_masks


def prune(net, granularity, sparsity, allocation=None, criterion=None, round=1):
    layers = LayerSelection().select(net, granularity.roles)
    masks.attach(layers)
    for unit in granularity.groupings(layers):
        masks.attach(unit.biases, "bias")
    update_masks(
        layers,
        Method(criterion or Magnitude(), granularity, allocation or Uniform()),
        sparsity,
        round,
    )
    return {(layer.block, layer.role): masks.read(layer) for layer in layers}


def test_a_neuron_is_a_row_and_a_column(family):
    keep = prune(tiny_net(family), Neuron(), 0.25)
    for block in (0, 1):
        rows, columns = keep[block, "mlp_in"], keep[block, "mlp_out"]
        assert torch.equal(rows.all(1), rows.any(1))
        assert torch.equal(rows.all(1), columns.all(0))
        assert torch.equal(columns.all(0), columns.any(0))
        assert rows.all(1).sum() == 48


def test_a_head_is_rows_and_columns_of_four_layers(family):
    keep = prune(tiny_net(family), Head(), 0.5)
    for block in (0, 1):
        heads = keep[block, "query"].view(2, 16, 32).all(2).all(1)
        assert heads.sum() == 1
        for role in ("query", "key", "value"):
            assert torch.equal(
                keep[block, role], heads.repeat_interleave(16)[:, None].expand(32, 32)
            )
        assert torch.equal(keep[block, "attn_out"], heads.repeat_interleave(16).expand(32, 32))


@pytest.mark.parametrize("granularity", [Neuron(), Head(), Combined([Neuron(), Head()])])
def test_every_block_of_every_stage_is_pruned(granularity):
    net = tiny_swin()
    keep = prune(net, granularity, 0.5)
    assert {block for block, _ in keep} == {0, 1, 2}
    for mask in keep.values():
        assert mask.float().mean() == 0.5
    assert {layer.name: layer.block for layer in find_layers(net)}[
        "swin.encoder.layers.0.downsample.reduction"
    ] is None


def test_branches_are_ranked_together_unless_something_else_is_said():
    assert type(Method(granularity=Branch()).allocation) is Global
    assert type(Method(granularity=Head()).allocation) is Uniform


def test_two_layers_of_one_role_in_a_block_are_not_mistaken_for_one():
    layer = next(layer for layer in find_layers(tiny_net()) if layer.role == "mlp_in")
    with pytest.raises(
        UsageError, match="needs one mlp_in in each block, and here are .* and other"
    ):
        Neuron().groupings([layer, replace(layer, name="other")])


def test_the_weakest_head_is_the_one_that_falls():
    net = tiny_net()
    for layer in find_layers(net):
        if layer.role in ("query", "key", "value"):
            layer.module.weight.data[16 * layer.block : 16 * layer.block + 16] *= 0.1
    keep = prune(net, Head(), 0.5)
    assert [bool(keep[block, "query"][16 * block].any()) for block in (0, 1)] == [False, False]


def test_head_dimensions_fall_in_equal_numbers_from_every_head():
    keep = prune(tiny_net(), HeadDim(), 0.25)
    for block in (0, 1):
        for first, second in (("query", "key"), ("value", "attn_out")):
            rows = keep[block, first].all(1)
            assert rows.view(2, 16).sum(1).tolist() == [12, 12]
            assert torch.equal(
                rows, keep[block, second].all(1) if second == "key" else keep[block, second].all(0)
            )
        assert not torch.equal(
            keep[block, "query"], keep[block, "value"]
        )  # each kind chooses for itself


@pytest.mark.parametrize("allocation", [Uniform(), Global()], ids=["uniform", "global"])
def test_uniform_keeps_as_many_everywhere(allocation):
    net = tiny_net()
    for layer in find_layers(net):
        layer.module.weight.data *= 1 + 5 * (
            layer.block or 0
        )  # a ranking over layers would empty the first block
    keep = prune(net, HeadDim(uniform=True), 0.5, allocation)
    assert {int(mask.any(1).sum()) for (_, role), mask in keep.items() if role != "attn_out"} == {
        16
    }
    keep = prune(net, Neuron(uniform=True, round_to=8), 0.4, allocation)
    assert [int(keep[block, "mlp_in"].any(1).sum()) for block in (0, 1)] == [40, 40]


def test_round_to_keeps_multiples():
    net = tiny_net()
    for layer in find_layers(net):
        layer.module.weight.data *= 1 + (layer.block or 0)
    keep = prune(net, Neuron(round_to=8), 0.55, Global())
    counts = [int(keep[block, "mlp_in"].any(1).sum()) for block in (0, 1)]
    assert all(count % 8 == 0 for count in counts)
    assert counts[0] < counts[1]
    assert abs(sum(counts) - 0.45 * 128) <= 8


@pytest.mark.parametrize("granularity", [Neuron(), Head(), HeadDim(), Neuron(round_to=8)], ids=str)
def test_something_survives_in_every_layer(granularity):
    keep = prune(tiny_net(), granularity, 0.99, Global(), Random())
    for mask in keep.values():
        assert mask.any()


@pytest.mark.parametrize(
    "granularity",
    [Row(), Column(), Neuron(), Neuron(uniform=True), Head(), HeadDim(), Tile(4, 4)],
    ids=str,
)
def test_what_fell_as_single_weights_stays_fallen(granularity):
    net = tiny_net()
    before = prune(net, Element(), 0.8)
    layers = LayerSelection().select(net, granularity.roles)
    update_masks(layers, Method(Magnitude(), granularity, Uniform()), 0.9)
    after = {(layer.block, layer.role): masks.read(layer) for layer in layers}
    assert not any((keep & ~before[place]).any() for place, keep in after.items())
    kept = sum(int(keep.sum()) for keep in after.values()) / sum(
        keep.numel() for keep in after.values()
    )
    assert kept == pytest.approx(0.1, abs=0.005)


@pytest.mark.parametrize("attention", [{"query": 0.5}, {"query": 0.5, "key": 0.5}])
def test_layers_that_fall_together_need_one_sparsity(attention):
    layers = LayerSelection(roles=[*ATTENTION]).select(tiny_net())
    allocation = PerLayer({**attention, "*": 0.25})
    Method(granularity=Row(), allocation=allocation).check(layers)
    with pytest.raises(
        UsageError,
        match="one sparsity to layers that are pruned together, and has .*q_proj 0.5, .* 0.25",
    ):
        Method(granularity=Head(), allocation=allocation).check(layers)


def test_a_single_head_has_dimensions_too():
    keep = prune(tiny_net(num_attention_heads=1), HeadDim(), 0.25)
    assert {
        int(keep[block, role].all(1).sum())
        for block in (0, 1)
        for role in ("query", "key", "value")
    } == {24}


@pytest.mark.parametrize("criterion", [Random(), Magnitude(p=torch.inf)], ids=["random", "largest"])
def test_a_ranking_of_scores_that_are_no_sums_favours_no_kind(criterion):
    """Dimensions fall in all heads at once, neurons alone: a step of the former must not score the sum of its members."""
    net = tiny_net(hidden_size=128, intermediate_size=256, num_attention_heads=4)
    keep = prune(net, Combined([HeadDim(), Neuron()]), 0.5, Global(), criterion)
    share = {
        role: float(torch.cat([mask for (_, r), mask in keep.items() if r == role]).float().mean())
        for _, role in keep
    }
    assert abs(share["mlp_in"] - share["query"]) < 0.2


def test_a_branch_becomes_the_identity(family):
    net = tiny_net(family)
    for layer in find_layers(net):
        nn.init.normal_(layer.module.bias)
    keep = prune(net, Branch(), 0.5, Global())
    fallen = {key for key, mask in keep.items() if not mask.any()}
    assert fallen
    assert all(mask.any() == mask.all() for mask in keep.values())
    for layer in find_layers(net):
        if (layer.block, layer.role) in fallen:
            assert not layer.module.bias.any()
            assert not layer.module(torch.randn(3, layer.shape[1])).any()
        else:
            assert layer.module.bias.all()
    masks.remove(net)
    assert not any("parametrizations" in name for name in net.state_dict())


def test_heads_and_neurons_at_once():
    keep = prune(tiny_net(), Combined([Head(), Neuron()]), 0.5)
    assert len(keep) == 12
    assert all(mask.float().mean() == 0.5 for mask in keep.values())


def test_a_scheduled_sparsity_is_met_in_every_round_of_n_of_m():
    net = tiny_net()
    for round, sparsity in enumerate((0.1, 0.3, 0.5), start=1):
        keep = prune(net, NofM(2, 4), sparsity, Global(), round=round)
        total = torch.cat([mask.flatten() for mask in keep.values()])
        assert int((~total).sum()) == round_to_even(sparsity * total.numel())
        assert total.view(-1, 4).sum(1).min() >= 2
    assert total.view(-1, 4).sum(1).max() == 2


def round_to_even(value):
    return round(value)


def test_two_of_four_is_what_sparse_tensor_cores_take():
    """By the rules of the packed format in torch itself."""
    from torch.sparse._semi_structured_conversions import (
        sparse_semi_structured_from_dense_cutlass as pack,
    )
    from torch.sparse._semi_structured_conversions import (
        sparse_semi_structured_to_dense_cutlass as unpack,
    )

    net = tiny_net(hidden_size=64, intermediate_size=128)
    prune(net, NofM(2, 4), 0.5)
    for layer in LayerSelection().select(net):
        weight = layer.weight.detach().half()
        assert torch.equal(unpack(*pack(weight)), weight)


def test_tiles_are_rectangles():
    net = tiny_net()
    for mask in prune(net, Tile(8, 4), 0.5).values():
        tiles = mask.view(len(mask) // 8, 8, -1, 4)
        assert torch.equal(tiles.all(3).all(1), tiles.any(3).any(1))


def toy_layer(out=6, inputs=6, role="query", heads=None):
    layer = Layer("toy", nn.Linear(inputs, out), role, 0, heads)
    masks.attach([layer])
    return layer


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: NofM(4, 4), "1 <= n < m"),
        (lambda: Tile(0, 4), "positive"),
        (lambda: Neuron(round_to=0), "at least 1"),
        (lambda: NofM(2, 4).groupings([toy_layer()]), "does not divide the 6 inputs of toy"),
        (lambda: Tile(4, 2).groupings([toy_layer()]), "does not divide the 6 x 6 weights of toy"),
        (lambda: NofM(2, 4).check_sparsity(0.8), "fixes the final sparsity at 0.5, not 0.8"),
        (
            lambda: Method(granularity=Branch(), allocation=Uniform()),
            "set pruning.allocation to Global",
        ),
        (
            lambda: Method(granularity=Combined([Branch()]), allocation=ERK()),
            "set pruning.allocation to Global",
        ),
        (
            lambda: Method(granularity=Branch(), allocation=Global(normalize=True)),
            "neither normalize nor min_density",
        ),
        (
            lambda: Method(granularity=Branch(), allocation=Global(min_density=0.1)),
            "neither normalize nor min_density",
        ),
        (
            lambda: Method(granularity=Branch(), allocation=LAMP()),
            "set pruning.allocation to Global",
        ),
        (
            lambda: Neuron(round_to=24).groupings(
                LayerSelection(roles=["mlp_in", "mlp_out"]).select(tiny_net())
            ),
            "24.*64 groups",
        ),
        (
            lambda: Neuron().groupings(LayerSelection(roles=["mlp_in"]).select(tiny_net())),
            "block 0 lacks mlp_out",
        ),
        (lambda: Head().groupings(LayerSelection().select(tiny_net())), "fc1 has the role mlp_in"),
        (
            lambda: Head().groupings(
                [toy_layer(role=r) for r in ("query", "key", "value", "attn_out")]
            ),
            "toy has none",
        ),
        (lambda: Combined([Element(), Head()]), "roles of their own"),
        (lambda: Combined([Head(), HeadDim()]), "each role once"),
        (
            lambda: Method(granularity=Combined([Head(), Neuron()])).check(
                LayerSelection(roles=[*ATTENTION]).select(tiny_net())
            ),
            "Neuron.*mlp_in, mlp_out, and no such layer is selected",
        ),
    ],
)
def test_impossible_settings_say_why(build, message):
    with pytest.raises(UsageError, match=message):
        build()
