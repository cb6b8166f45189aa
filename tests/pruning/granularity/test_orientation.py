"""Outputs and inputs of weights of every kind, also transposed ones and grouped convolutions."""

import copy

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from vitprune.errors import UsageError
from vitprune.pruning import Column, Element, Magnitude, Method, Neuron, NofM, Row, Tile, prune

MODULES = {
    "Linear": lambda: nn.Linear(8, 12, bias=False),
    "Conv1d": lambda: nn.Conv1d(8, 12, 3, bias=False),
    "Conv2d in groups": lambda: nn.Conv2d(8, 12, 3, groups=2, bias=False),
    "Conv3d": lambda: nn.Conv3d(8, 12, 3, bias=False),
    "ConvTranspose1d": lambda: nn.ConvTranspose1d(8, 12, 3, bias=False),
    "ConvTranspose2d in groups": lambda: nn.ConvTranspose2d(8, 12, 3, groups=2, bias=False),
    "Conv1D of GPT-2": lambda: Conv1D(12, 8),
}


@pytest.fixture(params=MODULES)
def module(request):
    torch.manual_seed(0)
    return MODULES[request.param]()


def inputs_of(module):
    """Return an input with 8 channels, and the dimension that counts channels."""
    shape = (5, 8) if module.weight.ndim == 2 else (5, 8, *[4] * (module.weight.ndim - 2))
    return torch.randn(shape, requires_grad=True)


def channels(tensor):
    """Return whether each channel has values other than zero."""
    return tensor.transpose(0, 1).flatten(1).any(1)


def test_pruned_rows_are_outputs_that_are_zero(module):
    prune(module, Method(granularity=Row()), 0.25)
    assert channels(module(inputs_of(module))).sum() == 9


def test_pruned_columns_are_inputs_that_do_not_matter(module):
    prune(module, Method(granularity=Column()), 0.25)
    inputs = inputs_of(module)
    outputs = module(inputs)
    outputs.backward(torch.randn_like(outputs))
    assert channels(inputs.grad).sum() == 6


def test_single_weights_that_compete_within_their_output(module):
    class WithinOutputs(Magnitude):
        per_output = True

    inputs = module.weight.numel() // 12
    counting = copy.deepcopy(module)
    prune(module, Method(WithinOutputs(), Element()), 0.5)
    counting.weight.data = (module.weight.detach() != 0).float()
    # an output counts its weights where the whole kernel lies within the input
    counts = counting(torch.ones_like(inputs_of(module))).transpose(0, 1).flatten(1).amax(1)
    assert counts.tolist() == [inputs // 2] * 12


def test_patterns_and_tiles_of_gpt2_lie_along_its_inputs():
    torch.manual_seed(0)
    module = Conv1D(12, 8)
    prune(module, Method(granularity=NofM(2, 4)), 0.5)
    assert ((module.weight.T != 0).reshape(-1, 4).sum(1) == 2).all()
    module = Conv1D(12, 8)
    prune(module, Method(granularity=Tile(height=4, width=2)), 0.5)
    tiles = (module.weight.T != 0).reshape(3, 4, 4, 2)
    assert torch.equal(tiles.all(3).all(1), tiles.any(3).any(1))


@pytest.mark.parametrize(
    ("granularity", "module", "message"),
    [
        (Tile(4, 4), nn.ConvTranspose2d(8, 8, 3), "does not support .* such as mlp.fc1"),
        (Neuron(), Conv1D(8, 8), "the weight of mlp.fc1 is transposed"),
    ],
)
def test_weights_of_the_wrong_orientation_are_refused_by_name(granularity, module, message):
    model = nn.ModuleDict({"mlp": nn.ModuleDict({"fc1": module, "fc2": nn.Linear(8, 8)})})
    with pytest.raises(UsageError, match=message):
        prune(model, Method(granularity=granularity), 0.5)
