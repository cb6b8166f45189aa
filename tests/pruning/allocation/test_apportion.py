"""Shares to whole increments, by hand."""

import pytest

from vitprune.pruning.allocation.apportion import apportion
from vitprune.pruning.allocation.demand import Demand

BIG = 1000


def rounded(shares, weights, sizes=None, lower=None, upper=None):
    count = len(shares)
    demand = Demand(weights, lower or [0] * count, upper or [BIG] * count)
    return apportion(lambda x: [x * share for share in shares], sizes or [1] * count, demand)


@pytest.mark.parametrize(
    ("shares", "weights", "expected"),
    [
        ([1.0, 2.0, 3.0], 6, [1, 2, 3]),  # nothing to round
        ([1.5, 1.5], 3, [2, 1]),  # of equal remainders the first
        ([1.2, 1.3, 1.5], 4, [1, 1, 2]),  # the largest remainder
        ([0.4, 0.4, 0.2], 1, [1, 0, 0]),
        ([1.0, 1.0], 10, [5, 5]),  # shares are only relative
        ([2.0, 6.0], 4, [1, 3]),
        ([1.0, 1.0], 0, [0, 0]),
    ],
)
def test_the_largest_remainders_are_rounded_up(shares, weights, expected):
    assert rounded(shares, weights) == expected


def test_a_bound_moves_increments_to_the_others():
    assert rounded([4.0, 4.0], 8, upper=[1, BIG]) == [1, 7]
    assert rounded([4.0, 4.0], 8, lower=[6, 0]) == [6, 2]


def test_what_the_bounds_do_not_allow_is_left():
    assert rounded([4.0, 4.0], 8, upper=[1, 2]) == [1, 2]
    assert rounded([1.0, 1.0], 2, lower=[3, 3]) == [3, 3]


def test_increments_of_unequal_size_come_near():
    """Shares of about 2.5: two increments each leave 6 of 32 weights, enough for a third."""
    assert rounded([2.5, 2.5], 32, sizes=[10, 3]) == [3, 2]


def test_an_increment_is_only_added_if_it_comes_nearer():
    assert rounded([0.4], 4, sizes=[10]) == [0]
    assert rounded([0.6], 6, sizes=[10]) == [1]
