"""A real model gets the same masks in the format of `transformers` and in that of timm."""

import pytest
import torch
from torch import Tensor, nn

from tests.conftest import SHARED, needs_shared
from tests.timm_models import in_timms_format
from vitprune.model.anatomy.layers import find_structure
from vitprune.model.anatomy.records import Attention, Rows
from vitprune.model.loading import load_net
from vitprune.pruning import Element, Global, Head, Magnitude, Method, Neuron, Wanda, prune

IMAGES = torch.randn(4, 3, 224, 224, generator=torch.Generator().manual_seed(0))
BATCHES = [{"pixel_values": IMAGES, "labels": torch.arange(4)}]
METHODS = {
    "magnitude of weights": Method(Magnitude(), Element(), Global()),  # qkv is one layer in timm
    "magnitude of heads": Method(Magnitude(), Head()),
    "magnitude of neurons": Method(Magnitude(), Neuron()),
    "Wanda of weights": Method(Wanda(), Element()),  # which compares the weights of one output
    "Wanda of heads": Method(Wanda(), Head()),
    "Wanda of neurons": Method(Wanda(), Neuron()),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The folder of a model in both formats."""
    ours = SHARED / "models" / "deit-tiny-patch16-224"
    theirs = tmp_path_factory.mktemp("timm") / "deit-tiny"
    settings = {"input_size": [3, 224, 224], "fixed_input_size": True, "num_classes": 1000}
    return ours, in_timms_format(load_net(str(ours)), "deit_tiny_patch16_224", theirs, **settings)


@needs_shared
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_both_formats_get_the_same_masks(folders, method):
    ours, theirs = (zeros_of(pruned(folder, method)) for folder in folders)
    assert len(ours) == len(theirs) == 12 * 6
    assert any(zeros.any() for zeros in ours)
    assert all(map(torch.equal, ours, theirs))


def pruned(folder, method) -> nn.Module:
    """Return the model of a folder with half of its groups pruned."""
    net = load_net(str(folder)).eval()
    for module in net.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-6  # each format has another one
    prune(net, method, 0.5, BATCHES)
    return net


def zeros_of(net) -> list[Tensor]:
    """Return the zeros of query, key, value and output, and of up and down, of every block."""
    structure = find_structure(net)
    weights = {layer.name: layer.weight for layer in structure.layers}
    found = []
    for branch in structure.branches:
        if isinstance(branch, Attention):
            rows = [branch.query, branch.key, branch.value, Rows(branch.output)]
        else:
            rows = [branch.up, Rows(branch.down)]
        found += [part.of(weights[part.layer]) == 0 for part in rows]
    return found
