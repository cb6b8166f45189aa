"""Exports of compensated models have their logits: biases of pruned branches are alive."""

import pytest
import torch
from transformers import AutoConfig

import vitprune
from tests.families.families import CLASSES, DINOV3, FAMILIES, logits
from vitprune.exports.shrinking.shrink import shrink
from vitprune.model.loading import net_from_config
from vitprune.pruning import (
    Branch,
    Combined,
    Head,
    HeadDim,
    LayerSelection,
    Mean,
    Method,
    Neuron,
    Ridge,
    Variance,
    prune,
)

FAMILY = FAMILIES["vit"]


def without_biases():
    torch.manual_seed(0)
    config = {**DINOV3, "proj_bias": False, "mlp_bias": False, "num_labels": CLASSES}
    return net_from_config(AutoConfig.for_model("dinov3_vit", **config)).eval()


NETS = {
    "vit": FAMILY.build,
    "swin": FAMILIES["swin"].build,
    "without biases": without_biases,
}


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize(
    ("granularity", "compensation"),
    [
        (Branch(), Mean()),
        (Combined([Head(), Neuron()]), Ridge()),
        (Combined([HeadDim(), Neuron()]), Ridge()),
    ],
    ids=["branches", "heads", "dimensions"],
)
def test_shrinking_is_exact(net, granularity, compensation):
    images = FAMILY.images(6)
    batches = [{"pixel_values": images, "labels": FAMILY.labels(6)}]
    pruned = NETS[net]()
    prune(pruned, Method(Variance(), granularity, compensation=compensation), 0.5, batches)
    small = shrink(pruned.double(), ragged=True)
    sizes = [sum(each.numel() for each in one.parameters()) for one in (small, pruned)]
    assert sizes[0] < 0.95 * sizes[1]
    expected, found = (logits(one, images.double()) for one in (pruned, small))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_a_dead_branch_with_a_living_bias_is_exported(tmp_path):
    images = FAMILY.images(6)
    batches = [{"pixel_values": images, "labels": FAMILY.labels(6)}]
    net = FAMILY.build()
    prune(net, Method(Variance(), Branch(), compensation=Mean()), 0.5, batches)
    outputs = LayerSelection().select(net, Branch.roles)
    dead = [layer for layer in outputs if not layer.weight.any()]
    assert dead
    assert all(layer.bias.any() for layer in dead)
    vitprune.export(net, tmp_path / "export")
    small = vitprune.load_pruned(tmp_path / "export")
    torch.testing.assert_close(logits(small, images), logits(net, images))
