"""Sparsities from a sensitivity scan."""

import json

import pytest

from tests.pruning.layers import pruned, sparsities_after
from vitprune.errors import UsageError
from vitprune.pruning import Element, FromSensitivity, Row


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


def test_the_budget_goes_where_it_hurts_least(tmp_path, masks):
    curves = {
        "layer0": {"0.5": 0.9, "0.9": 0.8},
        "layer1": {"0.5": 0.4, "0.9": 0.1},
        "layer2": {"0.5": 0.9, "0.9": 0.89},
    }
    sparsities = sparsities_after(masks, 0.6, FromSensitivity(scan(tmp_path, curves)))
    assert sparsities[1] < 0.1 < 0.5 < sparsities[0] < sparsities[2]
    assert pruned(masks) == 528


def test_equal_curves_give_equal_sparsities(tmp_path, masks):
    path = scan(tmp_path, {f"layer{i}": {"0.3": 0.91, "0.6": 0.7, "0.9": 0.2} for i in range(3)})
    assert sparsities_after(masks, 0.45, FromSensitivity(path)) == pytest.approx(
        [0.45] * 3, abs=0.01
    )
    assert sparsities_after(masks, 0.95, FromSensitivity(path), round=2) == pytest.approx(
        [0.95] * 3, abs=0.02
    )


def test_the_tolerated_drop_is_the_same_for_every_layer(tmp_path, masks):
    """By hand: a drop of 0.1 is at sparsity 0.5, 0.25 and 0.75 of the three layers."""
    curves = {"layer0": {"0.5": 0.8}, "layer1": {"0.5": 0.7}, "layer2": {"0.5": 0.9, "1.0": 0.7}}
    target = (0.5 * 600 + 0.25 * 80 + 0.75 * 200) / 880
    assert sparsities_after(
        masks, target, FromSensitivity(scan(tmp_path, curves))
    ) == pytest.approx([0.5, 0.25, 0.75], abs=0.01)


def test_what_the_scan_reached_counts_and_not_what_it_was_asked_for(tmp_path, masks):
    curves = {f"layer{i}": {"0.1": 0.8} for i in range(3)}
    reached = {f"layer{i}": {"0.1": sparsity} for i, sparsity in enumerate((0.5, 0.25, 0.75))}
    target = (0.5 * 600 + 0.25 * 80 + 0.75 * 200) / 880
    sparsities = sparsities_after(masks, target, FromSensitivity(scan(tmp_path, curves, reached)))
    assert sparsities == pytest.approx([0.5, 0.25, 0.75], abs=0.01)


@pytest.mark.parametrize("gain", [0.0, 0.004])
@pytest.mark.parametrize("sparsity", [0.1, 0.35, 0.48, 0.7])
def test_the_total_is_met_where_the_scan_saw_no_drop(tmp_path, masks, sparsity, gain):
    path = scan(
        tmp_path,
        {
            "layer0": {"0.5": 0.9 + gain, "0.9": 0.9},
            "layer1": {"0.5": 0.91, "0.9": 0.6},
            "layer2": {"0.5": 0.2},
        },
    )
    sparsities_after(masks, sparsity, FromSensitivity(path))
    assert pruned(masks) == round(sparsity * 880)


def test_a_scan_of_other_layers_is_refused(tmp_path, masks):
    with pytest.raises(UsageError, match="lacks layer1 and 1 more of the selected layers"):
        FromSensitivity(scan(tmp_path, {"layer0": {"0.5": 0.5}})).check(masks.layers, Element())
    (tmp_path / "other.json").write_text("{}")
    for path in ("other.json", "missing.json"):
        with pytest.raises(UsageError, match="needs the sensitivity.json of a scan"):
            FromSensitivity(str(tmp_path / path))


def test_a_scan_of_another_granularity_is_refused(tmp_path, masks):
    allocation = FromSensitivity(scan(tmp_path, {f"layer{i}": {"0.5": 0.5} for i in range(3)}))
    allocation.check(masks.layers, Element())
    with pytest.raises(
        UsageError, match=r"pruned by Element, and this is Row.*pruning\.granularity"
    ):
        allocation.check(masks.layers, Row())
