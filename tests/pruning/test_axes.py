"""The contracts of criterion, granularity and allocation, over every class and their combinations."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.conftest import random_batches, tiny_net
from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer, find_layers
from vitprune.pruning import (
    ERK,
    LAMP,
    Branch,
    Column,
    Combined,
    Element,
    Fisher,
    Global,
    Head,
    HeadDim,
    LayerSelection,
    Magnitude,
    Method,
    Movement,
    Neuron,
    NofM,
    PerLayer,
    Random,
    Row,
    SparseGPT,
    Taylor,
    Tile,
    Uniform,
    Wanda,
    masks,
)
from vitprune.pruning.criteria.calibration import calibrate
from vitprune.pruning.criteria.criterion import Scoring
from vitprune.pruning.granularity.tied import tie
from vitprune.pruning.update import update_masks

CRITERIA = [
    Magnitude(),
    Magnitude(p=2),
    Magnitude(p=float("inf")),
    Random(),
    Taylor(),
    Taylor(joint=True),
    Fisher(),
    Wanda(),
    Wanda(per_output=False),
    SparseGPT(),
    Movement(),
]
GRANULARITIES = [
    Element(),
    Row(),
    Column(),
    Tile(4, 8),
    NofM(2, 4),
    NofM(1, 8),
    Neuron(),
    Neuron(round_to=8, uniform=True),
    Head(),
    Head(uniform=True),
    HeadDim(),
    HeadDim(round_to=4, uniform=True),
    Branch(),
    Combined([Head(), Neuron()]),
]
ALLOCATIONS = [
    Uniform(),
    Uniform(min_density=0.05),
    ERK(),
    Global(),
    Global(min_density=0.1),
    Global(normalize=True),
    LAMP(),
    PerLayer({"query": 0.3, "*mlp*": 0.9, "*": 0.6}),
]


def name(axis):
    return f"{type(axis).__name__}{''.join(f'-{v}' for v in vars(axis).values() if isinstance(v, int | float))}"


def make_layers(shapes, values=None):
    torch.manual_seed(0)
    layers = [
        Layer(f"layer{i}", nn.Linear(b, a, bias=False), "other", None)
        for i, (a, b) in enumerate(shapes)
    ]
    if values:
        for layer in layers:
            values(layer.module.weight.data)
    masks.attach(layers)
    return layers


def statistics_of(criterion, layers, net):
    """Let a criterion learn from random images, or give it what a training might have taught it."""
    if criterion.straight_through:
        return {layer.name: torch.randn(layer.shape) for layer in layers}
    return calibrate(criterion, layers, random_batches(net)) if criterion.calibrated else {}


def pruned(net, granularity, straight_through=False):
    layers = LayerSelection().select(net, granularity.roles)
    masks.attach(layers, straight_through=straight_through)
    for unit in granularity.groupings(layers):
        masks.attach(unit.biases, "bias")
    return layers


@pytest.mark.parametrize("criterion", CRITERIA, ids=name)
class TestEveryCriterion:
    def scored(self, criterion, dtype=torch.float32):
        layers = LayerSelection(names=["*"]).select(net := tiny_net())  # patches and classifier too
        masks.attach(layers)
        statistics = statistics_of(criterion, layers, net)
        for layer in layers:
            yield (
                layer.weight.detach().to(dtype),
                Scoring(layer.name, 1, 42, statistics.get(layer.name)),
            )

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_scores_are_finite_and_shaped_like_the_weight(self, criterion, dtype):
        for weight, scoring in self.scored(criterion, dtype):
            for values in (weight, torch.zeros_like(weight)):
                score = criterion.score(values, scoring)
                assert score.shape == weight.shape
                assert score.isfinite().all()

    def test_scores_depend_on_their_inputs_alone(self, criterion):
        for weight, scoring in self.scored(criterion):
            first = criterion.score(weight, scoring)
            torch.rand(100)  # whatever else draws numbers
            assert torch.equal(criterion.score(weight, scoring), first)

    def test_weight_and_statistic_are_left_alone(self, criterion):
        for weight, scoring in self.scored(criterion):
            before = criterion.score(weight, scoring).clone()
            criterion.score(weight, scoring).fill_(-1)
            assert torch.equal(criterion.score(weight, scoring), before)


def test_random_scores_differ_by_layer_round_and_seed():
    weight = torch.zeros(4, 4)
    scores = [
        Random().score(weight, Scoring(*k))
        for k in (("a", 1, 42), ("b", 1, 42), ("a", 2, 42), ("a", 1, 43))
    ]
    assert len({tuple(s.flatten().tolist()) for s in scores}) == 4


@pytest.mark.parametrize("granularity", GRANULARITIES, ids=name)
class TestEveryGranularity:
    def test_every_weight_is_in_exactly_one_group(self, granularity, family):
        layers = pruned(tiny_net(family), granularity)
        seen = {layer.name: torch.zeros(layer.shape) for layer in layers}
        for unit in granularity.groupings(layers):
            for group in (
                (0, unit.groups // 2, unit.groups - 1) if unit.groups > 99 else range(unit.groups)
            ):
                decision = torch.zeros(unit.groups, dtype=torch.bool)
                decision[group] = True
                unit.write(decision, "replace")
                assert sum(int(masks.read(layer).sum()) for layer in unit.layers) == unit.group_size
                if unit.groups <= 99:
                    for layer in unit.layers:
                        seen[layer.name] += masks.read(layer)
                assert torch.equal(unit.kept(), decision)
            if unit.groups <= 99:
                assert all(seen[layer.name].eq(1).all() for layer in unit.layers)

    def test_a_group_scores_the_sum_of_its_members(self, granularity):
        layers = pruned(tiny_net(), granularity)
        for unit in granularity.groupings(layers):
            scores = [torch.rand(layer.shape) for layer in unit.layers]
            groups = unit.reduce(scores, "sum")
            decision = torch.zeros(unit.groups, dtype=torch.bool)
            decision[unit.groups // 2] = True
            unit.write(decision, "replace")
            members = [
                score[masks.read(layer)] for score, layer in zip(scores, unit.layers, strict=True)
            ]
            assert groups[unit.groups // 2] == pytest.approx(
                torch.cat(members).sum().item(), rel=1e-5
            )
            assert unit.reduce(scores, "max")[unit.groups // 2] == torch.cat(members).max()
            assert unit.reduce(scores, "square")[unit.groups // 2] == pytest.approx(
                torch.cat(members).sum().item() ** 2, rel=1e-5
            )


def every_pair():
    """Every two of the three axes, the third at its default (and a ranking over all layers where it must be)."""
    triples = [
        *(
            (criterion, granularity, Global())
            for criterion in CRITERIA
            for granularity in GRANULARITIES
        ),
        *(
            (Magnitude(), granularity, allocation)
            for granularity in GRANULARITIES
            for allocation in ALLOCATIONS
        ),
        *(
            (criterion, Element(), allocation)
            for criterion in CRITERIA
            for allocation in ALLOCATIONS
        ),
    ]
    named = {
        "-".join(map(name, triple)): triple
        for triple in triples
        if (triple[2].ranks_together or not triple[1].ranked_together)
        and not (triple[0].signed_scores and triple[2].squares_scores)
    }
    return [pytest.param(*triple, id=key) for key, triple in named.items()]


@pytest.mark.parametrize(("criterion", "granularity", "allocation"), every_pair())
def test_rounds_on_a_vit(criterion, granularity, allocation):
    """Totals are exact or nearest, what fell stays fallen, kept scores are no lower, floors and patterns hold."""
    net = tiny_net()
    layers = pruned(net, granularity, criterion.straight_through)
    if isinstance(allocation, PerLayer):
        allocation = PerLayer({"*q_proj": 0.3, "*": 0.6})
        if "query" not in {layer.role for layer in layers}:
            allocation = PerLayer({"*": 0.6})
    statistics = statistics_of(criterion, layers, net)
    weights = sum(layer.weight.numel() for layer in layers)
    for round, sparsity in enumerate((0.0, 0.3, 0.45), start=1):
        before = {layer.name: masks.read(layer).clone() for layer in layers}
        dense = {layer.name: layer.weight.detach().clone() for layer in layers}
        update_masks(
            layers,
            Method(criterion, granularity, allocation),
            sparsity,
            round,
            statistics=statistics,
        )
        fallen = sum(int((~masks.read(layer)).sum()) for layer in layers)
        tied = tie(granularity.groupings(layers))
        sizes = {one.increment_size for one in tied}
        most = sum(
            min(one.prunable, int((1 - allocation.min_density) * one.increments))
            * one.increment_size
            for one in tied
        )
        if len(sizes) == 1:
            increments = sum(one.increments for one in tied)
            assert fallen == min(round_half_even(sparsity * increments) * max(sizes), most)
        else:
            assert abs(fallen - min(sparsity * weights, most)) <= max(sizes)
        for unit in granularity.groupings(layers):
            check_unit(unit, criterion, allocation, before, dense, statistics, round)


def check_unit(unit, criterion, allocation, before, dense, statistics, round):
    old, kept = unit.reduce([before[layer.name] for layer in unit.layers], "first"), unit.kept()
    for layer, part in zip(
        unit.layers, unit.parts, strict=True
    ):  # all members share the fate of the group
        assert torch.equal(
            part.view(masks.read(layer)).flatten(unit.group_dims).amin(-1).view(-1)
            if part.view(masks.read(layer)).ndim > unit.group_dims
            else kept,
            kept,
        )
    if not criterion.straight_through:
        assert not (kept & ~old).any()
    assert kept.float().mean() >= allocation.min_density - 1e-6
    pools = kept.view(unit.pools, -1)
    assert pools.sum(1).unique().numel() == 1
    assert int(pools[0].sum()) >= unit.survivors
    assert int(pools[0].sum()) % unit.round_to == 0
    if unit.pattern:
        assert kept.view(-1, unit.pattern[1]).sum(1).min() >= unit.pattern[0]
    scores = [
        criterion.score(dense[x.name], Scoring(x.name, round, 42, statistics.get(x.name)))
        for x in unit.layers
    ]
    scores = unit.reduce(scores, criterion.reduction).view(unit.pools, -1)
    if unit.pattern or (criterion.per_output and unit.rows):
        scores = scores.view(-1, unit.pattern[1]) if unit.pattern else scores.view(unit.rows, -1)
    now = (old & ~kept).view_as(scores)
    for row, falls, stays in zip(scores, now, kept.view_as(scores), strict=True):
        if unit.pattern and stays.sum() > unit.pattern[0]:
            continue
        if falls.any() and stays.any():
            assert row[stays].min() >= row[falls].max()


@pytest.mark.parametrize("allocation", ALLOCATIONS[:-1], ids=name)
@pytest.mark.parametrize("granularity", [Element(), Row(), Column()], ids=name)
def test_bounds(granularity, allocation):
    layers = make_layers([(8, 8), (8, 8)])
    update_masks(layers, Method(Magnitude(), granularity, allocation), 0.0)
    assert all(masks.read(layer).all() for layer in layers)
    update_masks(layers, Method(Magnitude(), granularity, allocation), 0.99, 2)
    kept = sum(int(masks.read(layer).sum()) for layer in layers)
    assert kept <= max(16, 128 * allocation.min_density * 1.5)


def test_kept_weights_are_no_smaller_than_dropped_ones():
    layers = make_layers([(16, 24), (24, 16)])
    magnitudes = [layer.weight.detach().abs().clone() for layer in layers]
    update_masks(layers, Method(), 0.55)
    for layer, magnitude in zip(layers, magnitudes, strict=True):
        assert magnitude[masks.read(layer)].min() >= magnitude[~masks.read(layer)].max()
    layers = make_layers([(16, 24), (24, 16)])
    update_masks(layers, Method(Magnitude(), Element(), Global()), 0.55)
    keep = torch.cat([masks.read(layer).flatten() for layer in layers])
    everything = torch.cat([magnitude.flatten() for magnitude in magnitudes])
    assert everything[keep].min() >= everything[~keep].max()


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=6),
    st.lists(st.floats(0, 0.99), min_size=1, max_size=4),
    st.sampled_from([Uniform(), Global()]),
    st.booleans(),
)
def test_the_total_is_exact_for_any_shapes_also_with_constant_weights(
    shapes, sparsities, allocation, constant
):
    layers = make_layers(shapes, (lambda w: w.fill_(0.5)) if constant else None)
    total = sum(a * b for a, b in shapes)
    for round, sparsity in enumerate(sorted(sparsities), start=1):
        update_masks(layers, Method(Magnitude(), Element(), allocation), sparsity, round)
        assert sum(int((~masks.read(layer)).sum()) for layer in layers) == round_half_even(
            sparsity * total
        )


def round_half_even(value):
    return round(value)


def rates_of_long_and_short_rows(criterion):
    layers = make_layers([(600, 192), (600, 48)], lambda w: w.uniform_(-1, 1))
    update_masks(layers, Method(criterion, Row(), Global()), 0.4)
    return [float((~masks.read(layer)).float().mean()) for layer in layers]


@pytest.mark.parametrize("criterion", [Magnitude(), Random()], ids=name)
def test_groups_of_unequal_size_are_treated_alike(criterion):
    """Rows of the same distribution fall at about the same rate, whether they are long or short."""
    long, short = rates_of_long_and_short_rows(criterion)
    assert long == pytest.approx(short, abs=0.12)  # the means of short rows differ more


def test_the_largest_of_few_is_smaller_than_the_largest_of_many():
    long, short = rates_of_long_and_short_rows(Magnitude(p=float("inf")))
    assert short > long + 0.3


def test_a_layer_of_tiny_weights_keeps_its_floor_and_the_others_pay():
    layers = make_layers([(10, 10), (10, 10)])
    layers[0].module.parametrizations.weight.original.data.mul_(1e-3)
    update_masks(layers, Method(Magnitude(), Element(), Global(min_density=0.2)), 0.5)
    assert [int(masks.read(layer).sum()) for layer in layers] == [20, 80]


def test_per_layer_sparsities_are_reached_with_the_schedule():
    layers = make_layers([(10, 10), (10, 10), (10, 20)])
    update_masks(
        layers,
        Method(Magnitude(), Element(), PerLayer({"layer0": 0.2, "layer1": 0.8, "*": 0.4})),
        0.45,
    )
    assert [float((~masks.read(layer)).float().mean()) for layer in layers] == pytest.approx(
        [0.2, 0.8, 0.4]
    )


@pytest.mark.parametrize("granularity", [Element(), Tile(2, 2), NofM(2, 4)], ids=repr)
def test_kernels_in_another_memory_order_are_pruned_alike(granularity):
    kept = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        layer = nn.Conv2d(4, 8, 4).to(memory_format=memory_format)
        layers = [Layer("patches", layer, "patch_embed", None)]
        masks.attach(layers)
        update_masks(layers, Method(granularity=granularity), 0.5)
        assert layer.weight.is_contiguous(memory_format=memory_format)
        kept.append(masks.read(layers[0]))
    assert torch.equal(*kept)


def test_nan_weights_are_named():
    layers = make_layers([(4, 4)], lambda w: w.fill_(float("nan")))
    with pytest.raises(UsageError, match="layer0: NaN weights or scores"):
        update_masks(layers, Method(), 0.5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Magnitude(p=0), "positive p"),
        (lambda: Uniform(min_density=1.0), "min_density"),
        (lambda: PerLayer({}), "none at all"),
        (lambda: PerLayer({"query": 1.5}), "1.5"),
        (lambda: LayerSelection(roles=["querry"]), "unknown roles.*valid are query, key"),
        (lambda: LayerSelection(blocks=[7]).select(tiny_net()), "blocks 0 to 1"),
        (
            lambda: LayerSelection(names=["*nothing*"]).select(tiny_net()),
            r"nothing\*' matches no layer(.|\n)*q_proj",
        ),
        (
            lambda: LayerSelection(roles=["query"], names=["*fc1"]).select(tiny_net()),
            "selection matches nothing",
        ),
        (
            lambda: PerLayer({"patch_embed": 0.5}).check(
                LayerSelection().select(tiny_net()), Element()
            ),
            "matches none",
        ),
        (
            lambda: PerLayer({"query": 0.5}).check(LayerSelection().select(tiny_net()), Element()),
            r"no sparsity for .*k_proj",
        ),
    ],
)
def test_impossible_settings_say_what_is_valid(build, message):
    with pytest.raises(UsageError, match=message):
        build()


class TestLayerSelection:
    def test_by_default_the_weight_matrices_of_the_blocks(self, family):
        chosen = LayerSelection().select(tiny_net(family))
        assert [layer.role for layer in chosen] == [
            "query",
            "key",
            "value",
            "attn_out",
            "mlp_in",
            "mlp_out",
        ] * 2
        assert [layer.block for layer in chosen] == [0] * 6 + [1] * 6

    def test_norms_biases_and_embeddings_are_never_chosen(self, family):
        everything = LayerSelection(names=["*"]).select(tiny_net(family))
        assert {type(layer.module) for layer in everything} == {nn.Linear, nn.Conv2d}

    def test_roles_blocks_and_patterns(self):
        net = tiny_net()
        assert len(LayerSelection(roles=["mlp_in", "classifier"]).select(net)) == 3
        assert {layer.block for layer in LayerSelection(skip_blocks=[-1]).select(net)} == {0}
        assert {layer.block for layer in LayerSelection(blocks=[1]).select(net)} == {1}
        assert [
            layer.role for layer in LayerSelection(names=["*fc1", "classifier"]).select(net)
        ] == [
            "mlp_in",
            "mlp_in",
            "classifier",
        ]
        assert "query" not in {
            layer.role for layer in LayerSelection(exclude=["*q_proj"]).select(net)
        }

    def test_frozen_weights_are_left_out_unless_named(self):
        net = tiny_net()
        frozen = next(layer for layer in find_layers(net) if layer.role == "query")
        frozen.module.weight.requires_grad_(False)
        assert frozen.name not in {layer.name for layer in LayerSelection().select(net)}
        assert frozen.name in {
            layer.name for layer in LayerSelection(names=["*q_proj"]).select(net)
        }

    def test_old_and_new_names_have_the_same_roles(self):
        from vitprune.model.anatomy.layers import role_of

        for old, new in [
            ("vit.encoder.layer.3.attention.attention.query", "vit.layers.3.attention.q_proj"),
            ("vit.encoder.layer.3.attention.output.dense", "vit.layers.3.attention.o_proj"),
            ("vit.encoder.layer.3.intermediate.dense", "vit.layers.3.mlp.fc1"),
            ("vit.encoder.layer.3.output.dense", "vit.layers.3.mlp.fc2"),
        ]:
            assert role_of(old) == role_of(new) != "other"
