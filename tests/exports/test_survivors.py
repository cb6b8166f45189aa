"""What of a block reaches the logits, by hand: two heads of two dimensions, three neurons."""

import torch
from torch import nn

from vitprune.exports.affine import Affine
from vitprune.exports.survivors import find_survivors, fold_constants
from vitprune.model.anatomy.widths import Widths

SHAPES = {
    "query": (4, 2),
    "key": (4, 2),
    "value": (4, 2),
    "attn_out": (2, 4),
    "mlp_in": (3, 2),
    "mlp_out": (2, 3),
}


def block():
    """Weights that are all 1, with zero biases."""
    return {
        role: Affine(torch.ones(shape).double(), torch.zeros(shape[0]).double())
        for role, shape in SHAPES.items()
    }


def rows(found):
    return [head.tolist() for head in found]


def test_everything_survives_in_a_dense_block():
    found = find_survivors(block(), head_dim=2)
    assert rows(found.scores) == rows(found.values) == [[0, 1], [2, 3]]
    assert found.neurons.tolist() == [0, 1, 2]
    assert found.widths == Widths(heads=2, head_dim=2, neurons=3)
    assert not found.is_empty


def test_dead_dimensions_and_heads_do_not():
    weights = block()
    weights["key"].weight[0] = 0  # adds the same to the scores of all tokens
    weights["query"].weight[1] = 0  # without a bias: adds nothing
    weights["attn_out"].weight[:, 2:] = 0  # the second head is not read
    weights["mlp_out"].weight[:, 1] = 0
    found = find_survivors(weights, head_dim=2)
    assert rows(found.scores) == [[]]
    assert rows(found.values) == [[0, 1]]
    assert found.neurons.tolist() == [0, 2]
    assert found.widths == Widths(heads=1, head_dim=2, neurons=2)


def test_a_query_with_only_a_bias_survives():
    weights = block()
    weights["query"].weight[1] = 0
    weights["query"].bias[1] = 3
    assert rows(find_survivors(weights, head_dim=2).scores) == [[0, 1], [2, 3]]


def test_a_constant_neuron_becomes_a_bias():
    weights = block()
    weights["mlp_in"].weight[0] = 0
    weights["mlp_in"].bias[0] = 5
    assert fold_constants([weights], nn.ReLU()).tolist() == [0, 0]
    assert weights["mlp_out"].bias.tolist() == [5, 5]
    assert find_survivors(weights, head_dim=2).neurons.tolist() == [1, 2]


def test_a_constant_branch_passes_its_constant_on():
    weights = block()
    weights["mlp_out"].weight.zero_()
    weights["mlp_out"].bias += 7
    assert fold_constants([weights], nn.ReLU()).tolist() == [0, 0]
    assert weights["mlp_out"].bias.tolist() == [0, 0]
    assert weights["attn_out"].bias.tolist() == [7, 7]


def test_a_constant_block_is_added_before_the_first_block():
    weights = block()
    for role, constant in (("mlp_out", 7), ("attn_out", 1)):
        weights[role].weight.zero_()
        weights[role].bias += constant
    assert fold_constants([weights], nn.ReLU()).tolist() == [8, 8]
    assert find_survivors(weights, head_dim=2).is_empty
