"""The order in which training serves images."""

import pytest

from vitprune.data.position import Position
from vitprune.data.sampler import EpochSampler
from vitprune.data.share import Share


def make_sampler(**options):
    return EpochSampler(**{"images": range(23), "seed": 1, "batch_size": 4, **options})


def test_every_epoch_is_another_permutation():
    sampler = make_sampler()
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert {i for _, i in first} == {i for _, i in second} == set(range(23))
    assert [i for _, i in first] != [i for _, i in second]
    assert {e for e, _ in second} == {1}


def test_a_position_leaves_out_what_was_served_in_that_epoch_only():
    whole, rest = make_sampler(), make_sampler(start=Position(epoch=2, batches=3))
    whole.set_epoch(2)
    assert list(rest) == list(whole)[12:]
    assert list(rest) == list(whole)[12:]  # iterating has no side effect
    rest.set_epoch(3)
    whole.set_epoch(3)
    assert list(rest) == list(whole)


@pytest.mark.parametrize("seed", [1, None])
def test_ranks_share_without_repeating(seed):
    shares = [[i for _, i in make_sampler(seed=seed, share=Share(r, 3))] for r in range(3)]
    everything = [i for share in shares for i in share]
    assert len(everything) == len(set(everything))
    assert len(everything) == (21 if seed else 23)
    assert [len(s) for s in shares] == [
        len(make_sampler(seed=seed, share=Share(r, 3))) for r in range(3)
    ]
