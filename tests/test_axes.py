"""The contracts of criterion, granularity and allocation, over every class and their combinations."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.conftest import tiny_net
from vitprune.errors import UsageError
from vitprune.model.layers import Layer, find_layers
from vitprune.pruning import (
    Column,
    Element,
    Global,
    LayerSelection,
    Magnitude,
    PerLayer,
    Random,
    Row,
    Uniform,
    masks,
)
from vitprune.pruning.criteria import Scoring
from vitprune.pruning.update import update_masks

CRITERIA = [Magnitude(), Magnitude(p=2), Magnitude(p=float("inf")), Random()]
GRANULARITIES = [Element(), Row(), Column()]
ALLOCATIONS = [
    Uniform(),
    Uniform(min_density=0.05),
    Global(),
    Global(min_density=0.1),
    PerLayer({"query": 0.3, "*mlp*": 0.9, "*": 0.6}),
]


def name(axis):
    return f"{type(axis).__name__}{''.join(f'-{v}' for v in vars(axis).values() if not isinstance(v, dict))}"


def make_layers(shapes, values=None):
    torch.manual_seed(0)
    layers = [Layer(f"layer{i}", nn.Linear(b, a, bias=False), "other", None) for i, (a, b) in enumerate(shapes)]
    if values:
        for layer in layers:
            values(layer.module.weight.data)
    masks.attach(layers)
    return layers


@pytest.mark.parametrize("criterion", CRITERIA, ids=name)
class TestEveryCriterion:
    def test_scores_are_finite_and_shaped_like_the_weight(self, criterion):
        for weight in (torch.randn(4, 6), torch.zeros(3, 3), torch.randn(4, 3, 2, 2), torch.randn(4, 6).bfloat16()):
            score = criterion.score(weight, Scoring("x", 1, 42))
            assert score.shape == weight.shape
            assert score.isfinite().all()

    def test_scores_depend_on_their_inputs_alone(self, criterion):
        weight = torch.randn(5, 5)
        first = criterion.score(weight, Scoring("x", 2, 42))
        torch.rand(100)  # whatever else draws numbers
        assert torch.equal(criterion.score(weight, Scoring("x", 2, 42)), first)

    def test_the_weight_is_left_alone(self, criterion):
        weight = torch.randn(5, 5)
        before = weight.clone()
        criterion.score(weight, Scoring("x", 1, 42)).fill_(-1)
        assert torch.equal(weight, before)


def test_random_scores_differ_by_layer_round_and_seed():
    weight = torch.zeros(4, 4)
    scores = [Random().score(weight, Scoring(*k)) for k in (("a", 1, 42), ("b", 1, 42), ("a", 2, 42), ("a", 1, 43))]
    assert len({tuple(s.flatten().tolist()) for s in scores}) == 4


@pytest.mark.parametrize("granularity", GRANULARITIES, ids=name)
@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (5, 3, 2, 2)])
class TestEveryGranularity:
    def test_every_weight_is_in_exactly_one_group(self, granularity, shape):
        groups = granularity.group_count(torch.zeros(shape))
        seen = torch.zeros(shape)
        for group in range(groups):
            keep = torch.zeros(groups, dtype=torch.bool)
            keep[group] = True
            mask = torch.zeros(shape, dtype=torch.bool)
            granularity.spread(keep, mask)
            seen += mask
        assert seen.eq(1).all()

    def test_a_group_scores_the_sum_of_its_members(self, granularity, shape):
        score = torch.rand(shape)
        groups = granularity.group(score, "sum")
        assert groups.sum() == pytest.approx(score.sum().item(), rel=1e-5)
        keep = torch.zeros(len(groups), dtype=torch.bool)
        keep[1] = True
        mask = torch.zeros(shape, dtype=torch.bool)
        granularity.spread(keep, mask)
        assert groups[1] == pytest.approx(score[mask].sum().item(), rel=1e-5)


@pytest.mark.parametrize("allocation", ALLOCATIONS, ids=name)
@pytest.mark.parametrize("granularity", GRANULARITIES, ids=name)
@pytest.mark.parametrize("criterion", CRITERIA, ids=name)
class TestEveryCombination:
    def test_rounds_on_a_vit(self, criterion, granularity, allocation):
        """Totals are exact or nearest, what fell stays fallen, kept scores are no lower, no layer is below its floor."""
        layers = LayerSelection().select(tiny_net())
        masks.attach(layers)
        weights = sum(layer.weight.numel() for layer in layers)
        largest = max(layer.weight.numel() // granularity.group_count(layer.weight) for layer in layers)
        before = [masks.read(layer).clone() for layer in layers]
        for round, sparsity in enumerate((0.0, 0.1, 0.31, 0.6), start=1):
            update_masks(layers, sparsity, round, 42, criterion, granularity, allocation)
            fallen = sum(int((~masks.read(layer)).sum()) for layer in layers)
            assert abs(fallen - sparsity * weights) <= (0.5 if isinstance(granularity, Element) else largest)
            for layer, old in zip(layers, before, strict=True):
                mask = masks.read(layer)
                assert not (mask & ~old).any()
                score = criterion.score(layer.weight, Scoring(layer.name, round, 42))
                groups, kept = granularity.group(score, criterion.reduction), granularity.group(mask, "max")
                candidates = granularity.group(old, "max")
                dropped_now = groups[candidates & ~kept]
                if len(dropped_now) and kept.any() and not isinstance(criterion, Magnitude):
                    assert groups[kept].min() >= dropped_now.max()
                assert mask.float().mean() >= allocation.min_density - 1e-6
                old.copy_(mask)

    def test_bounds(self, criterion, granularity, allocation):
        layers = make_layers([(8, 8), (8, 8)])
        if isinstance(allocation, PerLayer):
            allocation = PerLayer({"*": 0.5})
        update_masks(layers, 0.0, 1, 42, criterion, granularity, allocation)
        assert all(masks.read(layer).all() for layer in layers)
        update_masks(layers, 0.99, 2, 42, criterion, granularity, allocation)
        kept = sum(int(masks.read(layer).sum()) for layer in layers)
        assert kept <= max(16, 128 * allocation.min_density * 1.5)


def test_kept_weights_are_no_smaller_than_dropped_ones():
    layers = make_layers([(16, 24), (24, 16)])
    magnitudes = [layer.weight.detach().abs().clone() for layer in layers]
    update_masks(layers, 0.55, 1, 42, Magnitude(), Element(), Uniform())
    for layer, magnitude in zip(layers, magnitudes, strict=True):
        assert magnitude[masks.read(layer)].min() >= magnitude[~masks.read(layer)].max()
    layers = make_layers([(16, 24), (24, 16)])
    update_masks(layers, 0.55, 1, 42, Magnitude(), Element(), Global())
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
def test_the_total_is_exact_for_any_shapes_also_with_constant_weights(shapes, sparsities, allocation, constant):
    layers = make_layers(shapes, (lambda w: w.fill_(0.5)) if constant else None)
    total = sum(a * b for a, b in shapes)
    for round, sparsity in enumerate(sorted(sparsities), start=1):
        update_masks(layers, sparsity, round, 42, Magnitude(), Element(), allocation)
        assert sum(int((~masks.read(layer)).sum()) for layer in layers) == round_half_even(sparsity * total)


def round_half_even(value):
    return round(value)


@pytest.mark.parametrize("criterion", [Magnitude(), Magnitude(p=float("inf")), Random()], ids=name)
def test_groups_of_unequal_size_are_treated_alike(criterion):
    """Rows of the same distribution fall at about the same rate, whether they are long or short."""
    layers = make_layers([(600, 192), (600, 48)], lambda w: w.uniform_(-1, 1))
    update_masks(layers, 0.4, 1, 42, criterion, Row(), Global())
    rates = [float((~masks.read(layer)).float().mean()) for layer in layers]
    spread = 0.15 if isinstance(criterion, Random) else 1.0  # short rows really differ more in their means
    assert abs(rates[0] - rates[1]) < spread
    if criterion.reduction == "max":
        assert rates[1] > rates[0]  # the largest of few is smaller than the largest of many


def test_a_layer_of_tiny_weights_keeps_its_floor_and_the_others_pay():
    layers = make_layers([(10, 10), (10, 10)])
    layers[0].module.parametrizations.weight.original.data.mul_(1e-3)
    update_masks(layers, 0.5, 1, 42, Magnitude(), Element(), Global(min_density=0.2))
    assert [int(masks.read(layer).sum()) for layer in layers] == [20, 80]


def test_per_layer_sparsities_are_reached_with_the_schedule():
    layers = make_layers([(10, 10), (10, 10), (10, 20)])
    update_masks(layers, 0.45, 1, 42, Magnitude(), Element(), PerLayer({"layer0": 0.2, "layer1": 0.8, "*": 0.4}))
    assert [float((~masks.read(layer)).float().mean()) for layer in layers] == pytest.approx([0.2, 0.8, 0.4])


def test_nan_weights_are_named():
    layers = make_layers([(4, 4)], lambda w: w.fill_(float("nan")))
    with pytest.raises(UsageError, match="layer0 has NaN"):
        update_masks(layers, 0.5, 1, 42, Magnitude(), Element(), Uniform())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Magnitude(p=0), "positive p"),
        (lambda: Uniform(min_density=1.0), "min_density"),
        (lambda: PerLayer({}), "none at all"),
        (lambda: PerLayer({"query": 1.5}), "1.5"),
        (lambda: LayerSelection(roles=["querry"]), "unknown roles.*valid are query, key"),
        (lambda: LayerSelection(blocks=[7]).select(tiny_net()), "blocks 0 to 1"),
        (lambda: LayerSelection(names=["*nothing*"]).select(tiny_net()), r"nothing\*' matches no layer(.|\n)*q_proj"),
        (lambda: LayerSelection(roles=["query"], names=["*fc1"]).select(tiny_net()), "selection matches nothing"),
        (lambda: PerLayer({"patch_embed": 0.5}).check(LayerSelection().select(tiny_net())), "matches none"),
        (lambda: PerLayer({"query": 0.5}).check(LayerSelection().select(tiny_net())), r"no sparsity for .*k_proj"),
    ],
)
def test_impossible_settings_say_what_is_valid(build, message):
    with pytest.raises(UsageError, match=message):
        build()


class TestLayerSelection:
    def test_by_default_the_weight_matrices_of_the_blocks(self, family):
        chosen = LayerSelection().select(tiny_net(family))
        assert [layer.role for layer in chosen] == ["query", "key", "value", "attn_out", "mlp_in", "mlp_out"] * 2
        assert [layer.block for layer in chosen] == [0] * 6 + [1] * 6

    def test_norms_biases_and_embeddings_are_never_chosen(self, family):
        everything = LayerSelection(names=["*"]).select(tiny_net(family))
        assert {type(layer.module) for layer in everything} == {nn.Linear, nn.Conv2d}

    def test_roles_blocks_and_patterns(self):
        net = tiny_net()
        assert len(LayerSelection(roles=["mlp_in", "classifier"]).select(net)) == 3
        assert {layer.block for layer in LayerSelection(skip_blocks=[-1]).select(net)} == {0}
        assert {layer.block for layer in LayerSelection(blocks=[1]).select(net)} == {1}
        assert [layer.role for layer in LayerSelection(names=["*fc1", "classifier"]).select(net)] == [
            "mlp_in",
            "mlp_in",
            "classifier",
        ]
        assert "query" not in {layer.role for layer in LayerSelection(exclude=["*q_proj"]).select(net)}

    def test_frozen_weights_are_left_out_unless_named(self):
        net = tiny_net()
        frozen = next(layer for layer in find_layers(net) if layer.role == "query")
        frozen.module.weight.requires_grad_(False)
        assert frozen.name not in {layer.name for layer in LayerSelection().select(net)}
        assert frozen.name in {layer.name for layer in LayerSelection(names=["*q_proj"]).select(net)}

    def test_old_and_new_names_have_the_same_roles(self):
        from vitprune.model.layers import role_of

        for old, new in [
            ("vit.encoder.layer.3.attention.attention.query", "vit.layers.3.attention.q_proj"),
            ("vit.encoder.layer.3.attention.output.dense", "vit.layers.3.attention.o_proj"),
            ("vit.encoder.layer.3.intermediate.dense", "vit.layers.3.mlp.fc1"),
            ("vit.encoder.layer.3.output.dense", "vit.layers.3.mlp.fc2"),
        ]:
            assert role_of(old) == role_of(new) != "other"
