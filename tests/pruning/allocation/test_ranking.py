"""One ranking of increments, by hand."""

import pytest
import torch

from vitprune.pruning.allocation.ranking import rank_increments

FIRST = torch.tensor([1.0, 5.0, 3.0])
SECOND = torch.tensor([4.0, 2.0])


@pytest.mark.parametrize(
    ("target", "expected"),
    [(0, [0, 0]), (2, [1, 0]), (4, [1, 1]), (6, [2, 1]), (10, [3, 2]), (99, [3, 2])],
)
def test_equal_increments_are_ranked_by_score(target, expected):
    assert rank_increments([FIRST, SECOND], [2, 2], target) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    # in order of score: 2, 12, 14, 24 and 26 weights
    [(0, [0, 0]), (1, [0, 0]), (2, [1, 0]), (8, [1, 1]), (13, [1, 1]), (19, [2, 1]), (26, [3, 2])],
)
def test_unequal_increments_come_nearest_to_the_target(target, expected):
    assert rank_increments([FIRST, SECOND], [2, 10], target) == expected


def test_of_equal_scores_the_first_are_pruned():
    assert rank_increments([torch.ones(3), torch.ones(3)], [1, 1], 4) == [3, 1]
    assert rank_increments([torch.ones(3), torch.ones(3)], [1, 2], 5) == [3, 1]


def test_increments_that_were_pruned_before_come_first():
    before = torch.tensor([-torch.inf, 9.0])
    assert rank_increments([torch.tensor([1.0, 2.0]), before], [1, 1], 2) == [1, 1]
