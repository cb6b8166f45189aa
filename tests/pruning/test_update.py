"""Mask updates over every class of the three axes and their pairs."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import tiny_net
from tests.pruning.axes import ALLOCATIONS, CRITERIA, GRANULARITIES, name
from tests.pruning.layers import linear_layers, masked_layers, prune_net, pruned, statistics_of
from vitprune.errors import UsageError
from vitprune.pruning import (
    Column,
    Element,
    Global,
    Head,
    HeadDim,
    Magnitude,
    Method,
    Neuron,
    PerLayer,
    Row,
    Tile,
    Uniform,
)
from vitprune.pruning.criteria.criterion import Scoring
from vitprune.pruning.granularity.tied import tie
from vitprune.pruning.sparsity import sparsity_of
from vitprune.pruning.update import update_masks


def every_pair():
    """Return every pair of two axes with the default of the third (`Global` where it must be)."""
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
        and not (triple[0].straight_through and triple[1].prunes_channels)
    }
    return [pytest.param(*triple, id=key) for key, triple in named.items()]


@pytest.mark.parametrize(("criterion", "granularity", "allocation"), every_pair())
def test_rounds_on_a_vit(criterion, granularity, allocation):
    """Totals are exact or nearest, pruned stays pruned, kept scores are highest, floors hold."""
    net = tiny_net()
    masks = masked_layers(net, granularity, straight_through=criterion.straight_through)
    layers = masks.layers
    if isinstance(allocation, PerLayer):
        allocation = PerLayer({"*q_proj": 0.3, "*": 0.6})
        if "query" not in {layer.role for layer in layers}:
            allocation = PerLayer({"*": 0.6})
    statistics = statistics_of(criterion, layers, net)
    weights = sum(layer.weight.numel() for layer in layers)
    for number, sparsity in enumerate((0.0, 0.3, 0.45), start=1):
        before = {layer.name: masks[layer.weight].clone() for layer in layers}
        dense = {layer.name: layer.weight.detach().clone() for layer in layers}
        method = Method(criterion, granularity, allocation)
        update_masks(masks, method, sparsity, number, statistics=statistics)
        assert sparsity_of(layers) == pruned(masks) / weights
        tied = tie(granularity.groupings(layers))
        sizes = {one.increment_size for one in tied}
        most = sum(
            min(one.prunable, int((1 - allocation.min_density) * one.increments))
            * one.increment_size
            for one in tied
        )
        if len(sizes) == 1:
            increments = sum(one.increments for one in tied)
            assert pruned(masks) == min(round(sparsity * increments) * max(sizes), most)
        else:
            assert abs(pruned(masks) - min(sparsity * weights, most)) <= max(sizes)
        for grouping in granularity.groupings(layers):
            check_grouping(
                grouping, masks, criterion, allocation, before, dense, statistics, number
            )


def check_grouping(grouping, masks, criterion, allocation, before, dense, statistics, round):
    old = grouping.reduce([before[layer.name] for layer in grouping.layers], "first")
    kept = grouping.kept(masks)
    complete = grouping.remaining(masks) == grouping.group_size
    assert torch.equal(complete, kept)  # all members or none
    if not criterion.straight_through:
        assert not (kept & ~old).any()
    assert kept.float().mean() >= allocation.min_density - 1e-6
    pools = kept.view(grouping.pools, -1)
    assert pools.sum(1).unique().numel() == 1
    assert int(pools[0].sum()) >= grouping.survivors
    assert int(pools[0].sum()) % grouping.round_to == 0
    if grouping.pattern:
        assert kept.view(-1, grouping.pattern[1]).sum(1).min() >= grouping.pattern[0]
    scorings = {x.name: Scoring(x.name, round, 42, statistics.get(x.name)) for x in grouping.layers}
    pruned_weights = [layer.weight.detach().clone() for layer in grouping.layers]
    for layer in grouping.layers:
        layer.weight.data.copy_(dense[layer.name])
    scores = criterion.score_groups(grouping, scorings).detach().view(grouping.pools, -1)
    for layer, weight in zip(grouping.layers, pruned_weights, strict=True):
        layer.weight.data.copy_(weight)
    if grouping.pattern or (criterion.per_output and grouping.rows):
        columns = grouping.pattern[1] if grouping.pattern else scores.numel() // grouping.rows
        scores = scores.view(-1, columns)
    now = (old & ~kept).view_as(scores)
    for row, newly, remains in zip(scores, now, kept.view_as(scores), strict=True):
        if grouping.pattern and remains.sum() > grouping.pattern[0]:
            continue
        if newly.any() and remains.any():
            assert row[remains].min() >= row[newly].max()


def test_kept_weights_are_no_smaller_than_pruned_ones():
    masks = linear_layers([(16, 24), (24, 16)])
    magnitudes = [layer.weight.detach().abs().clone() for layer in masks.layers]
    update_masks(masks, Method(), 0.55)
    for layer, magnitude in zip(masks.layers, magnitudes, strict=True):
        keep = masks[layer.weight]
        assert magnitude[keep].min() >= magnitude[~keep].max()
    masks = linear_layers([(16, 24), (24, 16)])
    update_masks(masks, Method(Magnitude(), Element(), Global()), 0.55)
    keep = torch.cat([masks[layer.weight].flatten() for layer in masks.layers])
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
    masks = linear_layers(shapes, (lambda w: w.fill_(0.5)) if constant else None)
    total = sum(a * b for a, b in shapes)
    for number, sparsity in enumerate(sorted(sparsities), start=1):
        update_masks(masks, Method(Magnitude(), Element(), allocation), sparsity, number)
        assert pruned(masks) == round(sparsity * total)


def test_nan_weights_are_named():
    masks = linear_layers([(4, 4)], lambda w: w.fill_(float("nan")))
    with pytest.raises(UsageError, match="layer0: NaN weights or scores"):
        update_masks(masks, Method(), 0.5)


@pytest.mark.parametrize(
    "granularity",
    [Row(), Column(), Neuron(), Neuron(loadable=True), Head(), HeadDim(), Tile(4, 4)],
    ids=str,
)
def test_weights_pruned_one_by_one_stay_pruned(granularity):
    net = tiny_net()
    before = prune_net(net, Element(), 0.8)
    after = prune_net(net, granularity, 0.9)
    assert not any((keep & ~before[place]).any() for place, keep in after.items())
    kept = sum(int(keep.sum()) for keep in after.values()) / sum(
        keep.numel() for keep in after.values()
    )
    assert kept == pytest.approx(0.1, abs=0.005)
