"""Proof that groups of several layers are what a structure record says."""

import pytest
import torch
from timm.models.maxxvit import AttentionCl
from torch import nn

from tests.conftest import tiny_net, tiny_swin
from vitprune.errors import UsageError
from vitprune.pruning import Head, HeadDim, LayerSelection, MlpNames, Neuron, declare
from vitprune.pruning.granularity.proof import check_coupling


def check(net, granularity, inputs):
    """Check the coupling of all groups, and return the number of forward passes."""
    groupings = granularity.groupings(LayerSelection().select(net, granularity.roles))
    before = [parameter.clone() for parameter in net.parameters()]
    passes = []

    def logits():
        output = net(inputs)
        passes.append(output)
        return getattr(output, "logits", output)

    try:
        check_coupling(net.eval(), groupings, logits)
    finally:
        assert all(map(torch.equal, before, net.parameters()))
    return len(passes)


@pytest.mark.parametrize(
    ("granularity", "passes"), [(Head(), 2), (Neuron(), 2), (HeadDim(), 4)], ids=str
)
@pytest.mark.parametrize(("build", "size"), [(tiny_net, 16), (tiny_swin, 32)])
def test_groups_of_known_models_are_coupled(build, size, granularity, passes):
    """At the cost of two forward passes, however many blocks there are."""
    assert check(build(), granularity, torch.randn(2, 3, size, size)) == passes


class PerHead(nn.Module):
    """MaxViT's attention, whose fused weight holds query, key and value of one head after another.

    Its record takes it for one with all queries first.
    """

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([AttentionCl(24, dim_head=6)])

    def forward(self, tokens):
        return self.layers[0](tokens).mean(1)


def test_another_layout_of_a_fused_weight_is_found():
    with pytest.raises(UsageError, match=r"structure of layers\.0 \(AttentionCl\).*pruned head"):
        check(PerHead(), Head(), torch.randn(2, 5, 24))


class Interleaved(nn.Module):
    """A gated MLP whose fused weight holds each neuron beside its gate."""

    def __init__(self):
        super().__init__()
        self.expand = nn.Linear(8, 24)
        self.contract = nn.Linear(12, 8)

    def forward(self, tokens):
        hidden, gate = self.expand(tokens).unflatten(-1, (-1, 2)).unbind(-1)
        return self.contract(hidden * gate.sigmoid())


def test_a_wrong_declaration_is_found():
    declare(Interleaved, MlpNames(up="expand", down="contract"))
    with pytest.raises(UsageError, match=r"assumes: weights of a pruned neuron still change"):
        check(nn.ModuleDict({"mlp": Interleaved()}).mlp, Neuron(), torch.randn(2, 8))


def test_a_small_scale_behind_the_branch_hides_nothing():
    class Scaled(PerHead):
        def forward(self, tokens):
            return tokens.mean(1) + 1e-7 * super().forward(tokens)

    with pytest.raises(UsageError, match=r"structure of layers\.0"):
        check(Scaled(), Head(), torch.randn(2, 5, 24))
