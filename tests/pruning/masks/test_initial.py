"""What is pruned before the first round."""

import torch
from torch import nn

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning import Masks


def layer(role, weight=None, bias=None):
    """Return a layer of ones, or filled with these values."""
    module = nn.Linear(2, 2)
    module.weight.data.copy_(torch.ones(2, 2) if weight is None else torch.tensor(weight))
    module.bias.data.copy_(torch.ones(2) if bias is None else torch.tensor(bias))
    return Layer("layer", module, role, block=None)


def masks_of(found):
    """Return the masks of weight and bias as lists."""
    masks = Masks([found], biases=[found])
    return masks[found.weight].tolist(), masks[found.bias].tolist()


def test_zeros_are_pruned_and_a_bias_only_with_its_whole_weight():
    weight, bias = masks_of(layer("mlp_out", [[0.0, -0.0], [1.0, 2.0]], [0.0, 0.0]))
    assert weight == [[False, False], [True, True]]
    assert bias == [True, True]


def test_a_layer_of_zeros_in_a_block_is_pruned_with_its_bias():
    weight, bias = masks_of(layer("mlp_out", [[0.0, 0.0], [0.0, 0.0]], [0.0, 0.0]))
    assert weight == [[False, False], [False, False]]
    assert bias == [False, False]


def test_a_bias_that_is_not_zero_is_kept_or_the_model_would_change():
    weight, bias = masks_of(layer("mlp_out", [[0.0, 0.0], [0.0, 0.0]], [0.0, 3.0]))
    assert weight == [[False, False], [False, False]]
    assert bias == [True, True]


def test_a_new_layer_that_starts_at_zero_is_kept():
    weight, bias = masks_of(layer("classifier", [[0.0, 0.0], [0.0, 0.0]], [0.0, 0.0]))
    assert weight == [[True, True], [True, True]]
    assert bias == [True, True]


def test_a_weight_without_zeros_is_kept_and_unchanged():
    found = layer("mlp_in")
    before = found.weight.detach().clone()
    assert masks_of(found) == ([[True, True], [True, True]], [True, True])
    assert torch.equal(found.weight, before)


def test_layers_without_bias_have_no_mask_of_one():
    found = Layer("layer", nn.Linear(2, 2, bias=False), "mlp_out", block=None)
    assert [mask.name for mask in Masks([found], biases=[found])] == ["layer.weight"]
