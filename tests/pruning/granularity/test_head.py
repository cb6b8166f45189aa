"""Attention heads."""

import torch

from tests.conftest import tiny_net
from tests.pruning.layers import prune_net
from vitprune.model.anatomy.layers import find_layers
from vitprune.pruning import Head


def test_a_head_is_rows_and_columns_of_four_layers(family):
    keep = prune_net(tiny_net(family), Head(), 0.5)
    for block in (0, 1):
        heads = keep[block, "query"].view(2, 16, 32).all(2).all(1)
        assert heads.sum() == 1
        for role in ("query", "key", "value"):
            assert torch.equal(
                keep[block, role], heads.repeat_interleave(16)[:, None].expand(32, 32)
            )
        assert torch.equal(keep[block, "attn_out"], heads.repeat_interleave(16).expand(32, 32))


def test_the_weakest_head_is_pruned():
    net = tiny_net()
    for layer in find_layers(net):
        if layer.role in ("query", "key", "value"):
            layer.module.weight.data[16 * layer.block : 16 * layer.block + 16] *= 0.1
    keep = prune_net(net, Head(), 0.5)
    assert [bool(keep[block, "query"][16 * block].any()) for block in (0, 1)] == [False, False]
