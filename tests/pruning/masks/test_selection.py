"""The lowest of many scores."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vitprune.pruning.masks import selection
from vitprune.pruning.masks.selection import count_lowest, keep_highest, kth_smallest

# few distinct values: ties everywhere
tied = st.lists(st.integers(-2, 2).map(float), min_size=1, max_size=60)


@settings(deadline=None)
@given(tied, st.data())
def test_exactly_the_lowest_are_pruned_and_the_first_of_equals(values, data):
    drop = data.draw(st.integers(0, len(values)))
    keep = keep_highest(torch.tensor(values), drop)
    expected = np.ones(len(values), dtype=bool)
    expected[np.argsort(values, kind="stable")[:drop]] = False
    assert keep.tolist() == expected.tolist()


@settings(deadline=None)
@given(st.lists(tied, min_size=1, max_size=4), st.data())
def test_the_lowest_of_several_tensors_are_counted_exactly(lists, data):
    everything = [v for values in lists for v in values]
    k = data.draw(st.integers(0, len(everything)))
    owner = [i for i, values in enumerate(lists) for _ in values]
    lowest = np.argsort(everything, kind="stable")[:k]
    expected = [sum(owner[j] == i for j in lowest) for i in range(len(lists))]
    assert count_lowest([torch.tensor(v) for v in lists], k) == expected


LARGE = {
    "normal": lambda g: torch.randn(300_000, generator=g),
    "constant": lambda g: torch.full((300_000,), 0.25),
    "few values": lambda g: torch.randint(0, 5, (300_000,), generator=g).float(),
    "mostly one value": lambda g: torch.randn(300_000, generator=g).clamp(min=0.5),
    "mostly pruned": lambda g: torch.where(
        torch.rand(300_000, generator=g) < 0.8, -torch.inf, torch.rand(1).item()
    ),
    "sorted": lambda g: torch.randn(300_000, generator=g).sort().values,
}


@pytest.mark.parametrize("kind", LARGE)
@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.5, 0.8, 0.999, 1.0])
def test_the_bracket_is_exact_on_large_tensors(kind, fraction):
    scores = LARGE[kind](torch.Generator().manual_seed(3))
    k = max(1, round(fraction * len(scores)))
    expected = np.partition(scores.numpy(), k - 1)[k - 1]
    parts = [scores[:1000], scores[1000:120_000], scores[120_000:]]
    assert kth_smallest(parts, k) == expected


@pytest.mark.parametrize("kind", LARGE)
@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.5, 0.8, 0.999, 1.0])
def test_the_mask_of_a_large_tensor_is_that_of_a_stable_sort(kind, fraction):
    scores = LARGE[kind](torch.Generator().manual_seed(3))
    drop = round(fraction * len(scores))
    expected = np.ones(len(scores), dtype=bool)
    expected[np.argsort(scores.numpy(), kind="stable")[:drop]] = False
    assert np.array_equal(keep_highest(scores, drop).numpy(), expected)


def test_an_unlucky_sample_costs_time_but_no_exactness(monkeypatch):
    scores = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    expected = scores.sort().values[999]
    bracket = torch.tensor([5.0, 6.0])
    monkeypatch.setattr(selection, "_bracket", lambda *_: bracket)
    assert kth_smallest([scores], 1000) == expected
    assert torch.equal(keep_highest(scores, 1000), scores > expected)
    bracket.fill_(-torch.inf)
    assert torch.equal(keep_highest(scores, 1000), scores > expected)


def test_no_copy_of_all_scores_is_gathered(monkeypatch):
    """What is ordered in the end is a small part, or the extra memory would be that of a sort."""
    seen = []
    between = selection._between
    monkeypatch.setattr(selection, "_between", lambda *a: seen.append(r := between(*a)) or r)
    scores = torch.randn(4_000_000, generator=torch.Generator().manual_seed(0))
    kth_smallest([scores], 3_200_000)
    assert sum(len(part) for part in seen) < 0.05 * len(scores)
