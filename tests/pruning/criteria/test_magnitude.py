"""Scores by magnitude."""

import pytest

from tests.pruning.axes import name
from tests.pruning.layers import linear_layers
from vitprune.errors import UsageError
from vitprune.pruning import Global, Magnitude, Method, Random, Row
from vitprune.pruning.update import update_masks


def rates_of_long_and_short_rows(criterion):
    masks = linear_layers([(600, 192), (600, 48)], lambda w: w.uniform_(-1, 1))
    update_masks(masks, Method(criterion, Row(), Global()), 0.4)
    return [float((~masks[layer.weight]).float().mean()) for layer in masks.layers]


@pytest.mark.parametrize("criterion", [Magnitude(), Random()], ids=name)
def test_groups_of_unequal_size_are_treated_alike(criterion):
    """Rows of one distribution are pruned at about one rate, whether long or short."""
    long, short = rates_of_long_and_short_rows(criterion)
    assert long == pytest.approx(short, abs=0.12)  # the means of short rows differ more


def test_the_largest_of_few_is_smaller_than_the_largest_of_many():
    long, short = rates_of_long_and_short_rows(Magnitude(p=float("inf")))
    assert short > long + 0.3


@pytest.mark.parametrize("p", [0, -1.0, float("nan")])
def test_an_impossible_norm_is_refused(p):
    with pytest.raises(UsageError, match=f"positive p, such as 1, 2 or inf, not {p}"):
        Magnitude(p=p)
