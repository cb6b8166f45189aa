"""What budgets promise is what the smaller model costs, in every family that can be smaller."""

import pytest

from tests.families.expectations import refusal
from tests.families.families import FAMILIES, Family
from tests.families.runs import net_of_run
from vitprune import prune
from vitprune.exports.costs import count_flops, count_parameters
from vitprune.exports.shrinking.shrink import shrink
from vitprune.pruning import (
    Budget,
    Combined,
    FLOPs,
    Granularity,
    Head,
    HeadDim,
    Isomorphic,
    LayerSelection,
    Masks,
    Method,
    Neuron,
    Parameters,
    Random,
)
from vitprune.pruning.budget.shares import shares_in

COLUMNS = {"fewer_heads": Head, "head_dim": HeadDim, "fewer_neurons": Neuron}
UNUSED = ("siglip",)  # its pooling head, which no logit depends on, is made smaller as well
THIN = ("vit", "timm_vit", "swin")  # in `make test`


def structure_of(family: Family) -> list[Granularity]:
    """Return what can be removed from a family."""
    found = [kind() for column, kind in COLUMNS.items() if refusal(column, family) is None]
    if refusal("fewer_heads", family) is not None:
        found = [one for one in found if not isinstance(one, HeadDim)]
    return found


@pytest.mark.parametrize("budget", [FLOPs(), Parameters()], ids=["FLOPs", "Parameters"])
@pytest.mark.parametrize(
    "family",
    [
        pytest.param(family, id=name, marks=() if name in THIN else pytest.mark.slow)
        for name, family in FAMILIES.items()
        if structure_of(family)
    ],
)
def test_the_smaller_model_costs_what_the_budget_counts(family: Family, budget: Budget, tmp_path):
    net = net_of_run(family, tmp_path / "model")
    images = family.images(1)
    batches = [{"pixel_values": images, "labels": family.labels(1)}]
    granularity = Combined(structure_of(family))
    method = Method(Random(), granularity, Isomorphic(), budget)
    layers = LayerSelection().select(net, granularity.roles)
    groupings = granularity.groupings(layers)
    costs = budget.costs(net, groupings, lambda: net(pixel_values=images))
    assert costs.dense == cost_of(net, budget, family)

    prune(net, method, 0.15, batches)
    predicted = costs.at(shares_in(Masks(layers), granularity))
    assert predicted <= 0.85 * costs.dense
    measured = cost_of(shrink(net, ragged=True), budget, family)
    assert measured < predicted if family.name in UNUSED else measured == round(predicted)


def cost_of(net, budget: Budget, family: Family) -> int:
    """Return what a model costs, measured."""
    if isinstance(budget, Parameters):
        return count_parameters(net)
    return count_flops(net, family.images().shape[1:])
