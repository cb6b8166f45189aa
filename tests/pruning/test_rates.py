"""Exchange rates between kinds of structure, and the search that finds them."""

import math
from itertools import islice

import pytest
import torch

from tests.conftest import tiny_net
from vitprune.errors import UsageError
from vitprune.pruning import (
    Combined,
    FLOPs,
    Head,
    HeadDim,
    Isomorphic,
    LayerSelection,
    Magnitude,
    Method,
    Movement,
    Neuron,
    Parameters,
    PrunableWeights,
    Ridge,
    Search,
    SparseGPT,
    Taylor,
    Variance,
    Width,
    prune,
)
from vitprune.pruning.budget.shares import shares_in
from vitprune.pruning.masks.restoring import restored
from vitprune.pruning.rates import next_rates, try_rates
from vitprune.pruning.update import update_masks
from vitprune.runs.trials import Trial, Trials

GENERATOR = torch.Generator().manual_seed(0)
BATCHES = [
    {
        "pixel_values": torch.randn(4, 3, 16, 16, generator=GENERATOR),
        "labels": torch.randint(0, 10, (4,), generator=GENERATOR),
    }
    for _ in range(4)
]
KINDS = Combined([HeadDim(), Neuron()])


def loss_of(net, batches=BATCHES[2:]):
    with torch.no_grad():
        losses = [net(**batch).loss for batch in batches]
    return float(torch.stack(losses).mean())


def pruned(allocation, target=0.4, granularity=KINDS):
    """Return a pruned model, and the kept share of each dimension."""
    net = tiny_net()
    method = Method(Magnitude(), granularity, allocation, FLOPs(), Ridge())
    layers = LayerSelection().select(net, granularity.roles)
    masks = method.masks(layers)
    prune(net, method, target, BATCHES, masks=masks)
    return net, shares_in(masks, granularity)


def kept(shares, kind):
    return sum(share for dimension, share in shares.items() if dimension.kind == kind)


def test_a_kind_with_a_higher_rate_is_pruned_less():
    _, even = pruned(Isomorphic())
    _, more = pruned(Isomorphic(rates={"neurons": 4.0}))
    assert kept(more, "neurons") > kept(even, "neurons")
    assert kept(more, "query_key") + kept(more, "value") < kept(even, "query_key") + kept(
        even, "value"
    )


def test_the_rate_of_the_depth_moves_what_is_kept_to_later_blocks():
    def of_blocks(allocation):
        shares = pruned(allocation)[1].items()
        return [
            sum(share for dimension, share in shares if dimension.branch.block == block)
            for block in (0, 1)
        ]

    first, last = of_blocks(Isomorphic(rates={"depth": 9.0}))
    even_first, even_last = of_blocks(Isomorphic())
    assert first < even_first
    assert last > even_last


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ({"heads": 2.0}, "'heads', which .* does not prune. Valid are query_key, value, neurons"),
        ({"neurons": 0.0}, "the rate of neurons must be positive, not 0.0"),
    ],
)
def test_rates_that_mean_nothing_are_refused(rates, message):
    with pytest.raises(UsageError, match=message):
        pruned(Isomorphic(rates=rates))


@pytest.mark.parametrize(("criterion", "budget"), [(Taylor(), FLOPs()), (Variance(), Parameters())])
def test_a_search_is_never_worse_than_isomorphic_on_the_images_that_it_holds_out(criterion, budget):
    losses = {}
    for allocation in (Isomorphic(), Search(trials=6, images=8)):
        net = tiny_net()
        batches = BATCHES if isinstance(allocation, Search) else BATCHES[:2]
        prune(net, Method(criterion, KINDS, allocation, budget, Ridge()), 0.5, batches)
        losses[type(allocation)] = loss_of(net)
    assert losses[Search] < losses[Isomorphic]


def test_every_trial_meets_the_budget_and_leaves_no_trace():
    net = tiny_net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    granularity = Combined([Width(), Head(), Neuron()])
    method = Method(Magnitude(), granularity, Search(), Parameters())
    layers = LayerSelection().select(net, granularity.roles)
    masks = method.masks(layers)
    costs = method.budget.costs(net, granularity.groupings(layers), lambda: None)
    dense = loss_of(net)
    tried = []

    def update(masks, method):
        update_masks(masks, Method(Magnitude(), granularity, method.allocation), 0.4, costs=costs)
        tried.append(costs.removed(shares_in(masks, granularity)))

    trials = list(islice(try_rates(masks, method, update, lambda: loss_of(net), seed=1), 5))
    assert all(0.4 <= removed < 0.5 for removed in tried)
    assert len({trial.loss for trial in trials}) > 1
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(mask.keep.all() for mask in masks)
    assert loss_of(net) == dense


def test_what_an_earlier_round_pruned_is_still_pruned_after_a_trial():
    net = tiny_net()
    method = Method(Magnitude(), KINDS)
    masks = method.masks(LayerSelection().select(net, KINDS.roles))
    update_masks(masks, method, 0.25)
    keeps = [mask.keep.clone() for mask in masks]
    with restored(masks):
        update_masks(masks, method, 0.75)
        assert not all(
            torch.equal(mask.keep, keep) for mask, keep in zip(masks, keeps, strict=True)
        )
    assert all(torch.equal(mask.keep, keep) for mask, keep in zip(masks, keeps, strict=True))
    assert masks.restore() == []


def search(known=(), losses=None):
    """Return eight trials of a search on a made-up loss, and how many were not known."""
    net = tiny_net()
    method = Method(Magnitude(), KINDS, Search(), Parameters())
    masks = method.masks(LayerSelection().select(net, KINDS.roles))
    rates = []

    def loss():
        return sum((rate - 3) ** 2 for rate in rates[-1].values())

    def update(_, method):
        rates.append(method.allocation.rates)

    trials = try_rates(masks, method, update, losses or loss, seed=3, known=known)
    return list(islice(trials, 8)), len(rates)


def test_a_resumed_search_repeats_the_first_trial_only():
    whole, _ = search()
    resumed, repeated = search(known=whole[:5])
    assert resumed == whole
    assert repeated == 4


def test_trials_of_another_model_are_not_used():
    whole, _ = search()
    other = [Trial(trial.rates, trial.loss + 1) for trial in whole]
    assert search(known=other) == (whole, 8)


def test_a_trial_whose_loss_is_nan_is_not_chosen():
    losses = iter([1.0, math.nan, 2.0, math.inf, 0.5, 3.0, 4.0, 5.0])
    trials, _ = search(losses=lambda: next(losses))
    assert [trials[number].loss for number in (1, 3)] == [None, None]
    assert Trials(trials).best is trials[4]


def test_the_steps_find_the_lowest_loss():
    kinds = ["heads", "neurons", "width"]
    best = {"heads": 1.0, "neurons": 3.0, "width": 0.2, "depth": 1.5, "evenness": 0.4}
    trials = []
    while len(trials) < 100:
        rates = next_rates(trials, kinds, seed=7)
        trials.append(Trial(rates, sum((rates[name] - best[name]) ** 2 for name in best)))
    assert trials[0].rates == {**dict.fromkeys([*kinds, "depth"], 1.0), "evenness": 0.0}
    assert trials[1].rates == {**dict.fromkeys([*kinds, "depth"], 1.0), "evenness": 1.0}
    assert min(trial.loss for trial in trials) < 0.01 * trials[0].loss


def test_with_evenness_layers_of_a_kind_are_pruned_alike():
    net = tiny_net()
    net.vit.layers[0].mlp.fc1.weight.data *= 3
    method = Method(Magnitude(), Neuron(), Isomorphic(rates={"evenness": 1.0}), FLOPs())
    masks = method.masks(LayerSelection().select(net, Neuron.roles))
    prune(net, method, 0.2, BATCHES, masks=masks)
    first, second = shares_in(masks, Neuron()).values()
    assert first == pytest.approx(second, abs=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"budget": PrunableWeights()}, "PrunableWeights counts zeros. Set pruning.budget to"),
        ({"granularity": Neuron()}, "prunes one kind. Use Combined, or Isomorphic"),
        ({"criterion": SparseGPT()}, "SparseGPT changes or regrows weights"),
        ({"criterion": Movement()}, "Movement changes or regrows weights"),
    ],
)
def test_methods_that_a_search_does_not_fit_are_refused(arguments, message):
    fitting = {"criterion": Magnitude(), "granularity": KINDS, "budget": FLOPs()}
    with pytest.raises(UsageError, match=message):
        Method(**fitting | arguments, allocation=Search())


def test_a_search_needs_images_for_both_purposes():
    method = Method(Magnitude(), KINDS, Search(images=13), FLOPs())
    with pytest.raises(UsageError, match="Search needs calibration data"):
        prune(tiny_net(), method, 0.5)
    with pytest.raises(UsageError, match="with 13 images .* there are 16 images in 4 batches"):
        prune(tiny_net(), method, 0.5, BATCHES)
    with pytest.raises(UsageError, match="Search needs at least one of trials, not 0"):
        Search(trials=0)
