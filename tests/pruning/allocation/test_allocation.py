"""What holds for every allocation."""

import pytest

from tests.conftest import tiny_net
from tests.pruning.axes import ALLOCATIONS, name
from tests.pruning.layers import linear_layers, pruned, sparsities_after
from vitprune.errors import UsageError
from vitprune.pruning import (
    ERK,
    LAMP,
    Column,
    Element,
    Global,
    Head,
    LayerSelection,
    Magnitude,
    Method,
    Movement,
    NofM,
    PerLayer,
    Row,
    Uniform,
)
from vitprune.pruning.granularity.coupled import ATTENTION
from vitprune.pruning.granularity.tied import tie
from vitprune.pruning.update import update_masks


@pytest.mark.parametrize("allocation", ALLOCATIONS[:-1], ids=name)
@pytest.mark.parametrize("granularity", [Element(), Row(), Column()], ids=name)
def test_bounds(granularity, allocation):
    masks = linear_layers([(8, 8), (8, 8)])
    update_masks(masks, Method(Magnitude(), granularity, allocation), 0.0)
    assert pruned(masks) == 0
    update_masks(masks, Method(Magnitude(), granularity, allocation), 0.99, 2)
    assert 128 - pruned(masks) <= max(16, 128 * allocation.min_density * 1.5)


def test_a_layer_of_tiny_weights_keeps_its_floor_and_the_others_pay():
    masks = linear_layers([(10, 10), (10, 10)])
    masks.layers[0].weight.data.mul_(1e-3)
    sparsities = sparsities_after(masks, 0.5, Global(min_density=0.2))
    assert sparsities == pytest.approx([0.8, 0.2])


def test_a_full_layer_gives_its_share_to_the_others(masks):
    sparsities = sparsities_after(masks, 0.8, Uniform(min_density=0.19), Row())
    assert pruned(masks) == pytest.approx(704, abs=30)
    assert min(1 - s for s in sparsities) >= 0.19


@pytest.mark.parametrize("allocation", [Uniform, Global, ERK, LAMP])
@pytest.mark.parametrize("min_density", [1.0, -0.1])
def test_an_impossible_density_is_refused(allocation, min_density):
    with pytest.raises(UsageError, match=rf"min_density must lie in \[0, 1\), not {min_density}"):
        allocation(min_density=min_density)


def test_signed_scores_are_not_squared():
    with pytest.raises(UsageError, match="those of Movement are signed; use Global"):
        Method(Movement(), allocation=LAMP())
    assert Method(Movement(), allocation=Global()).criterion.signed_scores


def test_the_highest_sparsity_keeps_what_must_be_kept():
    """One of two heads, a quarter of every layer, one of four weights, or all of most layers."""
    layers = LayerSelection().select(tiny_net(), ATTENTION)
    assert Uniform().highest_target(tie(Head().groupings(layers))) == 0.5
    assert Uniform(min_density=0.25).highest_target(tie(Row().groupings(layers))) == 0.75
    assert Uniform().highest_target(tie(NofM(1, 4).groupings(layers))) == 0.75
    only_queries = PerLayer({"query": 0.5, "*": 0})
    assert only_queries.highest_target(tie(Element().groupings(layers))) == 0.25
