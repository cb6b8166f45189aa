"""The allocations against their formulas."""

import json

import pytest
import torch
from torch import nn

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning import (
    ERK,
    LAMP,
    Element,
    FromSensitivity,
    Global,
    Magnitude,
    Method,
    Row,
    Uniform,
    masks,
)
from vitprune.pruning.update import update_masks


@pytest.fixture
def layers():
    torch.manual_seed(0)
    shapes = [(20, 30), (8, 10), (40, 5)]
    found = [
        Layer(f"layer{i}", nn.Linear(b, a, bias=False), "other", None)
        for i, (a, b) in enumerate(shapes)
    ]
    for factor, layer in enumerate(found, start=1):
        layer.module.weight.data *= factor
    masks.attach(found)
    return found


def update(layers, sparsity, allocation, granularity=None, round=1):
    update_masks(layers, Method(Magnitude(), granularity or Element(), allocation), sparsity, round)
    return [float((~masks.read(layer)).float().mean()) for layer in layers]


def test_lamp_drops_the_lowest_scores_of_its_formula(layers):
    squares = [layer.weight.detach().double().square() for layer in layers]
    scores = [
        torch.tensor([[w / square[square >= w].sum() for w in row] for row in square])
        for square in squares
    ]
    threshold = torch.cat([score.flatten() for score in scores]).sort().values[int(0.6 * 880) - 1]
    update(layers, 0.6, LAMP())
    for layer, score in zip(layers, scores, strict=True):
        assert torch.equal(masks.read(layer), score > threshold)


def test_lamp_counts_what_is_left_when_it_goes_on(layers):
    update(layers, 0.3, LAMP())
    before = [masks.read(layer).clone() for layer in layers]
    update(layers, 0.6, LAMP(), round=2)
    assert sum(int((~masks.read(layer)).sum()) for layer in layers) == 528
    assert not any(
        (masks.read(layer) & ~old).any() for layer, old in zip(layers, before, strict=True)
    )


def test_lamp_never_empties_a_layer(layers):
    layers[0].module.parametrizations.weight.original.data *= 1e-6
    update(layers, 0.99, LAMP())
    assert all(masks.read(layer).any() for layer in layers)


def test_erk_densities_are_in_proportion(layers):
    densities = [1 - sparsity for sparsity in update(layers, 0.9, ERK())]
    ratios = [(a + b) / (a * b) for a, b in ((20, 30), (8, 10), (40, 5))]
    factors = [density / ratio for density, ratio in zip(densities, ratios, strict=True)]
    assert max(factors) / min(factors) < 1.1  # whole weights
    assert sum(int((~masks.read(layer)).sum()) for layer in layers) == 792


def test_erk_leaves_layers_dense_that_would_pass_one(layers):
    sparsities = update(layers, 0.3, ERK())
    assert sparsities[1:] == [0.0, 0.0]
    assert sum(int((~masks.read(layer)).sum()) for layer in layers) == 264


def test_a_normalized_ranking_does_not_see_the_scale_of_a_layer(layers):
    plain = update(layers, 0.5, Global())
    assert plain[0] > plain[2] + 0.2
    for layer in layers:
        masks.read(layer).fill_(True)
    first = update(layers, 0.5, Global(normalize=True))
    for layer in layers:
        masks.read(layer).fill_(True)
    layers[1].module.parametrizations.weight.original.data *= 20
    assert update(layers, 0.5, Global(normalize=True)) == pytest.approx(first, abs=0.02)


def scan(tmp_path, curves, reached=None):
    path = tmp_path / "sensitivity.json"
    groups = {name: [name] for name in curves}
    reached = reached or {
        name: {sparsity: float(sparsity) for sparsity in curve} for name, curve in curves.items()
    }
    result = {
        "dense": 0.9,
        "granularity": "Element",
        "groups": groups,
        "reached": reached,
        "scan": curves,
    }
    path.write_text(json.dumps(result))
    return str(path)


def test_the_budget_goes_where_it_hurts_least(tmp_path, layers):
    curves = {
        "layer0": {"0.5": 0.9, "0.9": 0.8},
        "layer1": {"0.5": 0.4, "0.9": 0.1},
        "layer2": {"0.5": 0.9, "0.9": 0.89},
    }
    sparsities = update(layers, 0.6, FromSensitivity(scan(tmp_path, curves)))
    assert sparsities[1] < 0.1 < 0.5 < sparsities[0] < sparsities[2]
    assert sum(int((~masks.read(layer)).sum()) for layer in layers) == 528


def test_equal_curves_give_equal_sparsities(tmp_path, layers):
    path = scan(tmp_path, {f"layer{i}": {"0.3": 0.91, "0.6": 0.7, "0.9": 0.2} for i in range(3)})
    assert update(layers, 0.45, FromSensitivity(path)) == pytest.approx([0.45] * 3, abs=0.01)
    assert update(layers, 0.95, FromSensitivity(path), round=2) == pytest.approx(
        [0.95] * 3, abs=0.02
    )


def test_the_tolerated_drop_is_the_same_for_every_layer(tmp_path, layers):
    """Interpolated by hand: a drop of 0.1 is 0.5 of the first, 0.25 of the second and 0.75 of the third layer."""
    curves = {"layer0": {"0.5": 0.8}, "layer1": {"0.5": 0.7}, "layer2": {"0.5": 0.9, "1.0": 0.7}}
    target = (0.5 * 600 + 0.25 * 80 + 0.75 * 200) / 880
    assert update(layers, target, FromSensitivity(scan(tmp_path, curves))) == pytest.approx(
        [0.5, 0.25, 0.75], abs=0.01
    )


def test_what_the_scan_reached_counts_and_not_what_it_was_asked_for(tmp_path, layers):
    curves = {f"layer{i}": {"0.1": 0.8} for i in range(3)}
    reached = {f"layer{i}": {"0.1": sparsity} for i, sparsity in enumerate((0.5, 0.25, 0.75))}
    target = (0.5 * 600 + 0.25 * 80 + 0.75 * 200) / 880
    sparsities = update(layers, target, FromSensitivity(scan(tmp_path, curves, reached)))
    assert sparsities == pytest.approx([0.5, 0.25, 0.75], abs=0.01)


@pytest.mark.parametrize("gain", [0.0, 0.004])
@pytest.mark.parametrize("sparsity", [0.1, 0.35, 0.48, 0.7])
def test_the_total_is_met_where_the_scan_saw_no_drop(tmp_path, layers, sparsity, gain):
    path = scan(
        tmp_path,
        {
            "layer0": {"0.5": 0.9 + gain, "0.9": 0.9},
            "layer1": {"0.5": 0.91, "0.9": 0.6},
            "layer2": {"0.5": 0.2},
        },
    )
    update(layers, sparsity, FromSensitivity(path))
    assert sum(int((~masks.read(layer)).sum()) for layer in layers) == round(sparsity * 880)


def test_a_scan_of_other_layers_is_refused(tmp_path, layers):
    with pytest.raises(UsageError, match="lacks layer1 and 1 more of the selected layers"):
        FromSensitivity(scan(tmp_path, {"layer0": {"0.5": 0.5}})).check(layers, Element())
    (tmp_path / "other.json").write_text("{}")
    for path in ("other.json", "missing.json"):
        with pytest.raises(UsageError, match="needs the sensitivity.json of a scan"):
            FromSensitivity(str(tmp_path / path))


def test_a_scan_of_another_granularity_is_refused(tmp_path, layers):
    allocation = FromSensitivity(scan(tmp_path, {f"layer{i}": {"0.5": 0.5} for i in range(3)}))
    allocation.check(layers, Element())
    with pytest.raises(
        UsageError, match=r"pruned by Element, and this is Row.*pruning\.granularity"
    ):
        allocation.check(layers, Row())


def test_a_full_layer_gives_its_share_to_the_others(layers):
    sparsities = update(layers, 0.8, Uniform(min_density=0.19), Row())
    assert sum(
        s * layer.weight.numel() for s, layer in zip(sparsities, layers, strict=True)
    ) == pytest.approx(704, abs=30)
    assert min(1 - s for s in sparsities) >= 0.19
