"""Densities of attention heads."""

import pytest
import timm
import torch

from tests.conftest import tiny_net
from vitprune.evaluation.heads import head_densities
from vitprune.model.anatomy.layers import find_layers


def test_density_of_heads():
    net = tiny_net()
    attention = net.vit.layers[1].attention
    with torch.no_grad():
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj):
            projection.weight[16:] = 0  # the second of two heads
        attention.o_proj.weight[:, 16:] = 0
        attention.q_proj.weight[0] = 0
    densities = head_densities(find_layers(net))
    assert densities[0] == [1.0, 1.0]
    assert densities[1] == pytest.approx([1 - 32 / (4 * 16 * 32), 0.0])


def test_density_of_heads_of_a_fused_weight():
    net = timm.create_model("vit_tiny_patch16_224", img_size=32, embed_dim=32, depth=1, num_heads=4)
    attention = net.blocks[0].attn
    with torch.no_grad():
        attention.qkv.weight.view(3, 4, 8, 32)[:, 2] = 0
        attention.proj.weight.view(32, 4, 8)[:, 2:] = 0
    assert head_densities(find_layers(net)) == {0: [1.0, 1.0, 0.0, 0.75]}
