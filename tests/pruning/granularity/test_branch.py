"""Attention and MLP branches."""

import torch
from torch import nn

from tests.conftest import tiny_net
from tests.pruning.layers import prune_net
from vitprune.model.anatomy.layers import find_layers
from vitprune.pruning import Branch, Global, Head, Method, Uniform


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
