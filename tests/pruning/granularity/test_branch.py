"""Attention and MLP branches."""

import copy

import pytest
import torch
from torch import nn

from tests.conftest import tiny_net
from tests.families.families import FAMILIES
from tests.pruning.layers import prune_net
from vitprune import prune
from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import find_layers
from vitprune.pruning import Branch, Global, Head, LayerSelection, Method, Uniform


def test_branches_are_ranked_together_unless_something_else_is_said():
    assert type(Method(granularity=Branch()).allocation) is Global
    assert type(Method(granularity=Head()).allocation) is Uniform


def test_a_branch_becomes_the_identity(family):
    net = tiny_net(family)
    for layer in find_layers(net):
        nn.init.normal_(layer.module.bias)
    keep = prune_net(net, Branch(), 0.5, Global())
    pruned = {key for key, mask in keep.items() if not mask.any()}
    assert pruned
    assert all(mask.any() == mask.all() for mask in keep.values())
    for layer in find_layers(net):
        if (layer.block, layer.role) in pruned:
            assert not layer.module.bias.any()
            assert not layer.module(torch.randn(3, layer.shape[1])).any()
        else:
            assert layer.module.bias.all()


def test_a_pooling_head_is_left_out_unless_it_is_named():
    net = FAMILIES["timm_siglip"].build()
    before = copy.deepcopy(net.timm_model.attn_pool.state_dict())
    prune(net, Method(granularity=Branch()), 0.5)
    assert any(not layer.weight.any() for layer in find_layers(net))
    for name, value in net.timm_model.attn_pool.state_dict().items():
        assert torch.equal(value, before[name]), name
    named = LayerSelection(roles=["attn_out", "mlp_out"], names=["*"])
    with pytest.raises(UsageError, match=r"outside of the blocks: timm_model\.attn_pool\.proj"):
        prune(net, Method(granularity=Branch()), 0.5, layers=named)
