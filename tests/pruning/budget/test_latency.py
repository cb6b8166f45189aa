"""The budget of a latency: an interpolated table, by hand; budgets met; what is refused."""

import json

import pytest
import torch
from torch import nn

from tests.conftest import tiny_net, tiny_swin
from vitprune import prune
from vitprune.errors import UsageError
from vitprune.exports.costs import count_flops
from vitprune.exports.shrinking.uniform import cut_uniformly, levels_of
from vitprune.pruning import (
    Branch,
    Combined,
    Global,
    Head,
    HeadDim,
    Isomorphic,
    Latency,
    LayerSelection,
    Magnitude,
    Masks,
    Method,
    Neuron,
    Random,
    Width,
)
from vitprune.pruning.budget.latency import structures_of
from vitprune.pruning.budget.latency_table import Grid, LatencyTable
from vitprune.pruning.budget.shares import shares_in
from vitprune.pruning.granularity.tied import tie
from vitprune.runs.latency_report import LatencyConditions

IMAGES = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
BATCHES = [{"pixel_values": IMAGES, "labels": torch.tensor([3])}]
HERE = LatencyConditions("a CPU", 1, "eager", "float32", 1)
FULL = [1.0]
# Of 10 ms, attentions take 4 and MLPs 5
ATTENTION = Grid(
    {"heads": [0.0, 0.5, 1.0], "head_dims": FULL, "width": [0.5, 1.0]}, [4, 7, 5, 9, 6, 10]
)
MLP = Grid({"neurons": [0.0, 0.5, 1.0], "width": [0.5, 1.0]}, [4, 5, 5, 8, 6, 10])


def table_for(net, **changes):
    """Return a table of invented latencies for a model."""
    facts = {"conditions": HERE, "flops": count_flops(net, (3, 16, 16)), "attention": ATTENTION}
    return LatencyTable(**{**facts, "mlp": MLP, **changes})


def budget_for(net, tmp_path, **arguments):
    """Return the budget with the table of a model, read from a file."""
    table_for(net).write(tmp_path / "latency.json")
    return Latency(table=str(tmp_path / "latency.json"), **arguments)


def costs_of(net, budget, granularity):
    """Return what a model costs."""
    groupings = granularity.groupings(LayerSelection().select(net, granularity.roles))
    return budget.costs(net, groupings, lambda: net(pixel_values=IMAGES))


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ({}, 10.0),
        ({"neurons": 0.5}, 8.0),
        ({"neurons": 0.75}, 9.0),  # halfway between 8 and 10
        ({"width": 0.5}, 6.0),
        ({"width": 0.75, "neurons": 0.5}, 6.5),
        ({"width": 0.25}, 4.0),  # the line through 6 and 10 goes on
    ],
)
def test_between_measurements_the_latency_is_linear(shares, expected):
    assert MLP.at(shares) == expected


def test_noise_makes_no_smaller_model_slower():
    grid = Grid.of({"neurons": [0.0, 0.25, 0.5, 1.0], "width": FULL}, [3.0, 6.0, 4.0, 5.0])
    assert grid.ms == [3.0, 4.5, 4.5, 5.0]


def test_each_branch_saves_its_part(tmp_path):
    net = tiny_net()  # two equal blocks
    costs = costs_of(net, budget_for(net, tmp_path), Combined([Head(), Neuron(), Width()]))
    [first, _] = [one for one in costs.parts if type(one).__name__ == "Mlp"]
    dimension = next(
        grouping.dimension
        for grouping in Neuron().groupings(LayerSelection().select(net, Neuron().roles))
        if grouping.dimension.branch == first
    )
    assert costs.dense == 10
    assert costs.at({dimension: 0.0}) == 7.5  # half of the five that all MLPs save
    assert costs.at({dimension: 0.5}) == 9.0


def test_larger_branches_save_more(tmp_path):
    """The blocks of Swin's first stage have more pixels, and those of its second more channels."""
    net = tiny_swin()
    budget = Latency()
    budget.measured = table_for(net)
    costs = costs_of(net, budget, Neuron())
    parts = [part for branch, part in costs.parts.items() if type(branch).__name__ == "Mlp"]
    assert sum(parts) == pytest.approx(1)
    flops = [16 * 8 * 32, 16 * 8 * 32, 4 * 16 * 64]  # tokens, channels and neurons
    assert parts == pytest.approx([one / sum(flops) for one in flops])


@pytest.mark.parametrize("granularity", [Neuron(), Combined([Width(), Head(), Neuron()]), Branch()])
@pytest.mark.parametrize("target", [0.1, 0.3])
def test_one_group_less_would_not_meet_the_target(granularity, target, tmp_path):
    net = tiny_net()
    allocation = Global() if isinstance(granularity, Branch) else Isomorphic()
    budget = budget_for(net, tmp_path)
    method = Method(Random(), granularity, allocation, budget)
    costs = costs_of(net, budget, granularity)
    prune(net, method, target, BATCHES)
    layers = LayerSelection().select(net, granularity.roles)
    shares = shares_in(Masks(layers), granularity)
    assert costs.at(shares) <= (1 - target) * costs.dense
    tied = tie(granularity.groupings(layers))
    more = [
        costs.at(shares | {g.dimension: shares[g.dimension] + 1 / one.increments})
        for one in tied
        for g in one.groupings
        if shares[g.dimension] < 1 - 1e-9
    ]
    assert 1 - max(more) / costs.dense < target


@pytest.mark.parametrize("wanted", [{"speedup": 1.25}, {"target": 8.0}])
def test_a_speedup_and_a_target_say_how_much_is_left(wanted, tmp_path):
    net = tiny_net()
    budget = budget_for(net, tmp_path, **wanted)
    prune(net, Method(Magnitude(), Neuron(), budget=budget), None, BATCHES)
    shares = shares_in(Masks(LayerSelection().select(net, Neuron().roles)), Neuron())
    assert costs_of(net, budget, Neuron()).at(shares) == pytest.approx(8.0, abs=0.1)


@pytest.mark.parametrize(
    "shares",
    [
        {"heads": 0.5},
        {"heads": 0.5, "head_dims": 0.5},
        {"neurons": 0.25},
        {"neurons": 0.0},
        {"heads": 0.0},
        {"width": 0.5, "neurons": 0.5},
    ],
)
def test_what_is_timed_has_the_shares(shares):
    net = tiny_net()
    small = cut_uniformly(net, shares)
    linear = [each for each in small.modules() if isinstance(each, nn.Linear)]
    width = round(32 * shares.get("width", 1))
    inner = round(32 * shares.get("heads", 1) * shares.get("head_dims", 1))
    neurons = round(64 * shares.get("neurons", 1))
    found = {(each.in_features, each.out_features) for each in linear} - {(width, 10)}
    expected = {(width, inner), (inner, width)} if inner else set()
    expected |= {(width, neurons), (neurons, width)} if neurons else set()
    assert found == expected
    assert small(pixel_values=IMAGES).logits.shape == (1, 10)


def test_levels_are_whole_groups_of_every_layer():
    four_heads = tiny_net(num_attention_heads=4)
    assert levels_of(four_heads, "heads", (0.0, 0.3, 0.5, 1.0)) == [0.0, 0.25, 0.5, 1.0]
    assert levels_of(tiny_swin(), "heads", (0.0, 0.2, 0.9, 1.0)) == [0.0, 1.0]  # two and four heads


def test_what_a_granularity_needs_in_a_table():
    several = Combined([Width(), HeadDim(), Neuron()])
    assert structures_of(several) == ["width", "head_dims", "neurons"]
    assert structures_of(Branch()) == ["heads", "neurons"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"speedup": 0.5}, "the speedup of Latency must be above 1, not 0.5"),
        ({"speedup": 2, "target": 8}, "has a target and a speedup. Set one of them"),
        ({"target": -1.0}, "the target of Latency must be positive, not -1"),
        ({"batch_size": 0}, "batch_size of Latency must be at least 1, not 0"),
        ({"backend": "onnx", "dtype": "bfloat16"}, "ONNX Runtime in float32, not bfloat16"),
        ({"table": "nowhere.json"}, "nowhere.json cannot be read"),
    ],
)
def test_impossible_arguments(arguments, message):
    with pytest.raises(UsageError, match=message):
        Latency(**arguments)


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ([0.0, 0.5, 1.0], "has 2 latencies for 3 combinations"),
        ([1.0, 0.5], "neurons must ascend to 1"),
        (None, "mlp: it has no 'levels'"),
    ],
)
def test_a_damaged_table(levels, message, tmp_path):
    file = tmp_path / "latency.json"
    table_for(tiny_net()).write(file)
    content = json.loads(file.read_text())
    found = {"levels": {"neurons": levels, "width": FULL}} if levels else {}
    content["mlp"] = {"ms": [1, 2], **found}
    file.write_text(json.dumps(content))
    with pytest.raises(UsageError, match=f"latency.json is damaged .*{message}"):
        LatencyTable.read(file)


@pytest.mark.parametrize(
    ("table", "granularity", "message"),
    [
        (None, Neuron(), "needs a table of measurements. Make one by vitprune latency-table"),
        (table_for(tiny_net(), flops=1e9), Neuron(), "of a model with 1,000,000,000 FLOPs"),
        (table_for(tiny_net()), HeadDim(), "no measurements with fewer head_dims. Measure"),
        (
            table_for(tiny_net(), mlp=Grid({"neurons": [0.5, 1.0], "width": FULL}, [8, 10])),
            Branch(),  # prunes whole MLPs
            "no measurements with fewer neurons",
        ),
    ],
)
def test_a_table_of_something_else(table, granularity, message):
    budget = Latency(speedup=1.1)
    budget.measured = table
    with pytest.raises(UsageError, match=message):
        prune(tiny_net(), Method(granularity=granularity, budget=budget), None, BATCHES)


def test_a_speedup_out_of_reach(tmp_path):
    net = tiny_net()
    method = Method(granularity=Neuron(), budget=budget_for(net, tmp_path, speedup=4))
    with pytest.raises(
        UsageError,
        match="75.00% of the latency .* 5.09 of 10 ms, 1.96 times as fast .* a smaller speedup",
    ):
        prune(net, method, None, BATCHES)
