"""Optimizer groups and the learning-rate schedule."""

import pytest
import torch
from torch import nn

from tests.conftest import tiny_net, tiny_swin
from tests.model.small_models import ALL, small_net
from vitprune.model.anatomy.layers import find_layers
from vitprune.model.optimization import WarmupCosine, parameter_groups

PVT = {
    "depths": [2, 1],
    "num_encoder_blocks": 2,
    "hidden_sizes": [16, 32],
    "num_attention_heads": [2, 2],
    "patch_sizes": [4, 2],
    "strides": [4, 2],
    "sequence_reduction_ratios": [2, 1],
    "mlp_ratios": [2, 2],
}


def rates_of(net, layer_decay=0.5):
    """Return the learning rate of each parameter by name, with 1 for the head."""
    names = {id(p): name for name, p in net.named_parameters()}
    groups = parameter_groups(net, 1.0, 0.1, layer_decay=layer_decay)
    return {names[id(p)]: group["lr"] for group in groups for p in group["params"]}


@pytest.mark.parametrize("family", ALL)
def test_linear_and_convolutional_weights_decay_and_nothing_else(family):
    net = small_net(family)
    names = {id(p): name for name, p in net.named_parameters()}
    groups = parameter_groups(net, 1e-3, 0.1)
    decayed = {names[id(p)] for g in groups if g["weight_decay"] for p in g["params"]}
    assert decayed == {layer.parameter_name for layer in find_layers(net)}
    assert sum(len(g["params"]) for g in groups) == len(names)
    special = ("pos_embed", "token", "probe", "logit_scale", "bias", "norm", "position_embed")
    assert not [n for n in decayed if n.endswith(special) or "lambda" in n or "gamma" in n]


def test_groups_are_in_the_order_of_the_parameters(family):
    """The first group is that of the first parameter: states of optimizers are saved by number."""
    net = tiny_net(family)
    vectors, matrices = parameter_groups(net, 1e-3, 0.1)
    assert (vectors["weight_decay"], matrices["weight_decay"]) == (0.0, 0.1)
    order = {id(p): index for index, p in enumerate(net.parameters())}
    for group in (vectors, matrices):
        numbers = [order[id(p)] for p in group["params"]]
        assert numbers == sorted(numbers)


def test_the_rate_falls_from_block_to_block():
    rates = rates_of(tiny_net())
    assert rates["classifier.weight"] == 1.0
    assert rates["vit.layers.1.mlp.fc1.weight"] == 0.5
    assert rates["vit.layers.0.mlp.fc1.bias"] == 0.25
    assert rates["vit.embeddings.cls_token"] == 0.125


def test_the_rate_falls_through_all_stages():
    rates = {n.removeprefix("swin.encoder.layers."): r for n, r in rates_of(tiny_swin()).items()}
    assert rates["classifier.weight"] == 1.0
    assert rates["1.blocks.0.mlp.fc1.weight"] == 0.5
    assert rates["0.blocks.1.mlp.fc1.weight"] == rates["0.downsample.reduction.weight"] == 0.25
    assert rates["0.blocks.0.mlp.fc1.weight"] == 0.125


def test_embeddings_of_a_stage_have_the_depth_of_the_block_before():
    """Also where the model lists them beside the blocks, as PVT and PoolFormer do."""
    net = tiny_net("pvt", **PVT)
    rates = {n.removeprefix("pvt.encoder."): r for n, r in rates_of(net).items()}
    assert rates["block.1.0.mlp.dense1.weight"] == 0.5
    assert rates["block.0.1.mlp.dense1.weight"] == 0.25
    assert rates["patch_embeddings.1.projection.weight"] == 0.25
    assert rates["block.0.0.mlp.dense1.weight"] == 0.125
    assert rates["patch_embeddings.0.projection.weight"] == 0.0625


@pytest.mark.parametrize(
    ("family", "by_depth"),
    [
        (
            "vit_small_patch14_reg4_dinov2",
            [
                ["cls_token", "reg_token", "pos_embed", "patch_embed.proj.weight"],
                ["blocks.0.mlp.fc1.weight", "blocks.0.ls1.gamma"],
                ["blocks.1.attn.qkv.weight"],
                ["norm.weight", "head.weight"],
            ],
        ),
        (
            "vit_base_patch16_siglip_224",
            [
                ["pos_embed", "patch_embed.proj.weight"],
                ["blocks.0.mlp.fc1.weight"],
                ["blocks.1.mlp.fc1.weight"],
                ["attn_pool.latent", "attn_pool.q.weight", "head.weight"],
            ],
        ),
        (
            "swin_tiny_patch4_window7_224",
            [
                ["patch_embed.proj.weight"],
                ["layers.0.blocks.0.mlp.fc1.weight", "layers.1.downsample.reduction.weight"],
                ["layers.1.blocks.0.attn.relative_position_bias_table"],
                ["norm.weight", "head.fc.weight"],
            ],
        ),
        (
            "clip",
            [
                ["embeddings.class_embedding", "pre_layrnorm.weight"],
                ["encoder.layers.0.mlp.fc1.weight"],
                ["encoder.layers.1.mlp.fc1.weight"],
                ["post_layernorm.weight", "classifier.weight"],
            ],
        ),
        (
            "siglip",
            [
                ["embeddings.position_embedding.weight"],
                ["encoder.layers.0.mlp.fc1.weight"],
                ["encoder.layers.1.mlp.fc1.weight"],
                ["post_layernorm.weight", "head.probe", "classifier.weight"],
            ],
        ),
    ],
)
def test_each_part_has_the_rate_of_its_depth(family, by_depth):
    prefixes = ("timm_model.", "vision_model.")
    rates = {}
    for name, rate in rates_of(small_net(family)).items():
        prefix = next((p for p in prefixes if name.startswith(p)), "")
        rates[name.removeprefix(prefix)] = rate
    for depth, names in enumerate(reversed(by_depth)):
        assert {name: rates[name] for name in names} == dict.fromkeys(names, 0.5**depth)


def test_frozen_parameters_are_left_out():
    net = tiny_net()
    net.vit.embeddings.requires_grad_(False)
    trained = [p for g in parameter_groups(net, 1e-3, 0.1) for p in g["params"]]
    assert all(p.requires_grad for p in trained)


def test_warm_up_and_cosine():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = WarmupCosine(optimizer, warmup_steps=3, total_steps=11)
    rates = []
    for _ in range(13):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert rates[7] == pytest.approx(0.5)
    assert rates[11:] == pytest.approx([0.0, 0.0])
    assert rates[3:12] == sorted(rates[3:12], reverse=True)
