"""What counts as the same logits."""

import pytest
import torch

from vitprune.exports.verify import compare, largest_difference

EXPECTED = torch.tensor([[1.0, 2.0], [0.0, 10.0]])


def test_differences_are_relative_to_large_logits():
    changed = EXPECTED + torch.tensor([[0.0, 0.0], [0.0, 0.5]])
    assert largest_difference(EXPECTED, changed, tolerance=0.05) == 0.5
    with pytest.raises(RuntimeError, match=r"logits by 0\.5\. Nothing was exported"):
        largest_difference(EXPECTED, changed, tolerance=0.04)


def test_small_logits_have_an_absolute_tolerance():
    assert largest_difference(EXPECTED / 100, EXPECTED / 100 + 0.5, tolerance=1.0) == 0.5


@pytest.mark.parametrize("tolerance", [0.0, 1e-5, float("inf")])
def test_nan_is_never_the_same(tolerance):
    with pytest.raises(RuntimeError, match="logits by nan"):
        largest_difference(EXPECTED, EXPECTED * float("nan"), tolerance)


def test_bitwise_equality():
    assert largest_difference(EXPECTED, EXPECTED.clone(), tolerance=0.0) == 0
    with pytest.raises(RuntimeError, match="differs from the pruned one"):
        largest_difference(EXPECTED, EXPECTED + 1e-6, tolerance=0.0)


def test_comparison_of_a_format():
    report = compare(EXPECTED, torch.tensor([[1.0, 2.0], [11.0, 10.0]]))
    assert report.largest_logit_difference == 11
    assert report.top1_agreement == 0.5
    assert report.images == 2
