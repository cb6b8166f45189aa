"""Budgets of structure: met in every round to one group, and refused where they cannot be."""

import pytest
import torch
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from tests.conftest import tiny_net
from vitprune import prune
from vitprune.errors import UsageError
from vitprune.exports.costs import count_flops, count_parameters
from vitprune.exports.shrinking.shrink import shrink
from vitprune.pruning import (
    Branch,
    Combined,
    Element,
    FLOPs,
    Global,
    Head,
    HeadDim,
    Isomorphic,
    LayerSelection,
    Magnitude,
    Masks,
    Method,
    Neuron,
    Parameters,
    Random,
    Uniform,
)
from vitprune.pruning.budget.shares import shares_in
from vitprune.pruning.granularity.tied import tie
from vitprune.pruning.update import update_masks

IMAGES = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
BATCHES = [{"pixel_values": IMAGES, "labels": torch.tensor([3])}]
NORMS = 4 * 32  # weights and biases of the norms of a block, which goes if nothing is left of it
KINDS = (Head, HeadDim, Neuron, Branch)


def costs_of(net, budget, granularity):
    """Return what a model costs."""
    groupings = granularity.groupings(LayerSelection().select(net, granularity.roles))
    return budget.costs(net, groupings, lambda: net(pixel_values=IMAGES))


def measured(net, budget):
    """Return what a model costs, measured."""
    if isinstance(budget, Parameters):
        return count_parameters(net)
    return count_flops(net, IMAGES.shape[1:])


@settings(deadline=None, max_examples=15, phases=[Phase.generate])
@given(
    kinds=st.sets(st.sampled_from(KINDS), min_size=1),
    target=st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.3]),
    seed=st.integers(0, 99),
    budget=st.sampled_from([FLOPs(), Parameters()]),
)
def test_the_smaller_model_costs_what_is_predicted(kinds, target, seed, budget):
    granularity = Combined([kind() for kind in KINDS if kind in kinds])
    method = Method(Random(), granularity, Isomorphic(), budget)
    net = tiny_net()
    costs = costs_of(net, budget, granularity)
    layers = LayerSelection().select(net, granularity.roles)
    masks = method.masks(layers)
    assume(target <= method.highest_sparsity(masks.layers, costs))
    update_masks(masks, method, target, seed=seed, costs=costs)
    shares = shares_in(masks, granularity)
    assert costs.removed(shares) >= target - 1e-12  # rounding
    small = shrink(net, ragged=True)
    norms = NORMS * sum(not alive for alive in alive_blocks(shares))
    without_norms = norms if isinstance(budget, Parameters) else 0
    assert round(costs.at(shares)) - without_norms == measured(small, budget)
    torch.testing.assert_close(logits_of(small), logits_of(net), rtol=0, atol=1e-5)


def alive_blocks(shares):
    """Return whether each of the two blocks has a branch that is not pruned as a whole."""
    dead = {d.branch for d, share in shares.items() if d.kind == "branch" and not share}
    return [len([one for one in dead if one.block == block]) < 2 for block in range(2)]


def logits_of(net):
    """Return the logits of the images."""
    return net(pixel_values=IMAGES).logits.detach()


@pytest.mark.parametrize(
    "granularity", [Neuron(), Head(), HeadDim(round_to=2), Neuron(loadable=True)]
)
@pytest.mark.parametrize("allocation", [Uniform(), Global(), Isomorphic(min_density=0.1)])
def test_one_group_less_would_not_meet_the_target(granularity, allocation):
    net = tiny_net()
    budget = FLOPs()
    costs = costs_of(net, budget, granularity)
    method = Method(Random(), granularity, allocation, budget)
    tied = tie(granularity.groupings(LayerSelection().select(net, granularity.roles)))
    masks = Masks(LayerSelection().select(net, granularity.roles))
    for target in (0.05, 0.1, 0.15):
        update_masks(masks, method, target, costs=costs)
        shares = shares_in(masks, granularity)
        assert costs.removed(shares) >= target
        most = max(costs.at(shares | more) for one in tied if (more := with_one_more(one, shares)))
        assert 1 - most / costs.dense < target


def with_one_more(tied, shares):
    """Return the shares of tied groupings with one increment more than they have."""
    more = {g.dimension: shares[g.dimension] + 1 / tied.increments for g in tied.groupings}
    return more if max(more.values()) <= 1 + 1e-9 else {}


def test_a_target_is_what_is_left():
    net = tiny_net()
    method = Method(Magnitude(), Neuron(), budget=Parameters(target=0.9 * count_parameters(net)))
    prune(net, method, None)
    assert 0.897 < count_parameters(shrink(net, ragged=True)) / count_parameters(tiny_net()) <= 0.9


def test_heads_their_dimensions_and_neurons_to_a_sparsity():
    granularity = Combined([Head(), HeadDim(), Neuron()])
    reached = prune(tiny_net(), Method(Magnitude(), granularity, Isomorphic()), 0.4)
    assert 0.4 <= reached.prunable < 0.45


@pytest.mark.parametrize(
    ("granularity", "budget", "sparsity", "message"),
    [
        (Element(), FLOPs(), 0.5, "Element removes no structure. Use Neuron"),
        (Neuron(), FLOPs(), 0.9, r"90.00% of the FLOPs cannot be removed. At most .*% can be"),
        (Neuron(), FLOPs(target=1e6), 0.5, "both is given"),
        (Neuron(), FLOPs(), None, "neither is given"),
        (
            Neuron(),
            FLOPs(target=1e12),
            None,
            "the model has .* before pruning. Set a smaller target",
        ),
    ],
)
def test_what_a_budget_cannot_do(granularity, budget, sparsity, message):
    with pytest.raises(UsageError, match=message):
        prune(tiny_net(), Method(granularity=granularity, budget=budget), sparsity, BATCHES)


def test_flops_need_images():
    with pytest.raises(
        UsageError, match="FLOPs runs the model to count what it costs. Pass batches"
    ):
        prune(tiny_net(), Method(granularity=Neuron(), budget=FLOPs()), 0.1)


def test_an_impossible_target():
    with pytest.raises(UsageError, match="the target of FLOPs must be positive, not -1"):
        FLOPs(target=-1)
