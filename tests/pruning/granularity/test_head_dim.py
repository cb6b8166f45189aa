"""Dimensions of attention heads."""

import torch

from tests.conftest import tiny_net
from tests.pruning.layers import prune_net
from vitprune.pruning import HeadDim


def test_every_head_loses_as_many_dimensions():
    keep = prune_net(tiny_net(), HeadDim(), 0.25)
    for block in (0, 1):
        for first, second in (("query", "key"), ("value", "attn_out")):
            rows = keep[block, first].all(1)
            assert rows.view(2, 16).sum(1).tolist() == [12, 12]
            assert torch.equal(
                rows, keep[block, second].all(1) if second == "key" else keep[block, second].all(0)
            )
        assert not torch.equal(
            keep[block, "query"], keep[block, "value"]
        )  # each kind chooses for itself


def test_a_single_head_has_dimensions_too():
    keep = prune_net(tiny_net(num_attention_heads=1), HeadDim(), 0.25)
    assert {
        int(keep[block, role].all(1).sum())
        for block in (0, 1)
        for role in ("query", "key", "value")
    } == {24}
