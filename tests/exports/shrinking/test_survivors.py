"""What of a branch reaches the logits, by hand: two heads of two dimensions, three neurons."""

from dataclasses import replace

import torch

from vitprune.exports.shrinking.affine import Affine
from vitprune.exports.shrinking.survivors import Width, find_survivors, fold_constants
from vitprune.exports.shrinking.trial import Range
from vitprune.model.anatomy.records import Attention, Mlp, Rows

ATTENTION = Attention("a", 0, Rows("q"), Rows("k"), Rows("v"), "o", 2)
MLP = Mlp("m", 0, Rows("up"), None, "down")
GATED = Mlp("m", 0, Rows("up"), Rows("gate"), "down")
WIDTHS = {ATTENTION: Width(2, 2), MLP: Width(3), GATED: Width(3)}
SHAPES = {
    ATTENTION: {"query": (4, 2), "key": (4, 2), "value": (4, 2), "attn_out": (2, 4)},
    MLP: {"mlp_in": (3, 2), "mlp_out": (2, 3)},
    GATED: {"mlp_in": (3, 2), "mlp_gate": (3, 2), "mlp_out": (2, 3)},
}


def ones(branch):
    """Weights that are all 1, with zero biases."""
    return {
        role: Affine(torch.ones(shape).double(), torch.zeros(shape[0]).double())
        for role, shape in SHAPES[branch].items()
    }


def survivors(branch, weights, **changes):
    return find_survivors(replace(branch, **changes), weights, WIDTHS[branch])


def seen(low, high):
    return Range(torch.tensor(low).double(), torch.tensor(high).double())


def rows(found):
    return [head.tolist() for head in found]


def test_everything_survives_in_a_dense_branch():
    found = survivors(ATTENTION, ones(ATTENTION))
    assert rows(found.scores) == rows(found.values) == [[0, 1], [2, 3]]
    assert found.width == Width(2, 2)
    assert survivors(MLP, ones(MLP)).groups.tolist() == [0, 1, 2]


def test_dead_dimensions_and_heads_do_not():
    weights = ones(ATTENTION)
    weights["key"].weight[0] = 0  # adds the same to the scores of all tokens
    weights["query"].weight[1] = 0  # without a bias: adds nothing
    weights["attn_out"].weight[:, 2:] = 0  # the second head is not read
    found = survivors(ATTENTION, weights)
    assert found.groups.tolist() == [0]
    assert rows(found.scores) == [[]]
    assert rows(found.values) == [[0, 1]]
    assert found.width == Width(1, 2)


def test_dead_neurons_do_not():
    weights = ones(MLP)
    weights["mlp_out"].weight[:, 1] = 0
    assert survivors(MLP, weights).groups.tolist() == [0, 2]


def test_a_query_with_only_a_bias_survives():
    weights = ones(ATTENTION)
    weights["query"].weight[1] = 0
    weights["query"].bias[1] = 3
    assert rows(survivors(ATTENTION, weights).scores) == [[0, 1], [2, 3]]


def test_dimensions_that_are_normalised_or_rotated_survive_with_their_head():
    weights = ones(ATTENTION)
    weights["key"].weight[:3] = 0
    weights["attn_out"].weight[:, :2] = 0
    for change in ({"normed_scores": True}, {"rotary": "halves"}):
        found = survivors(ATTENTION, weights, **change)
        assert rows(found.scores) == rows(found.values) == [[2, 3]]


def test_a_constant_neuron_becomes_a_bias():
    weights = ones(MLP)
    weights["mlp_in"].weight[0] = 0
    fold_constants(MLP, weights, seen([5, -1, -1], [5, 1, 1]))
    assert weights["mlp_out"].bias.tolist() == [5, 5]
    assert survivors(MLP, weights).groups.tolist() == [1, 2]


def test_without_a_bias_only_zeros_are_folded():
    weights = ones(MLP)
    weights["mlp_in"].weight[:2] = 0
    weights["mlp_out"].has_bias = False
    fold_constants(MLP, weights, seen([5, 0, -1], [5, 0, 1]))
    assert survivors(MLP, weights).groups.tolist() == [0, 2]


def test_a_gated_neuron_is_constant_if_both_factors_are_or_one_is_zero():
    weights = ones(GATED)
    weights["mlp_in"].weight[:] = 0
    weights["mlp_in"].bias[1] = 1
    weights["mlp_gate"].weight[2] = 0
    fold_constants(GATED, weights, seen([0, 0, 4], [0, 0, 4]))
    assert survivors(GATED, weights).groups.tolist() == [1]  # which only looks like zero
    assert weights["mlp_out"].bias.tolist() == [4, 4]


def test_a_constant_value_becomes_a_bias_only_if_it_arrives():
    weights = ones(ATTENTION)
    weights["value"].weight[:2] = 0
    weights["value"].bias[:2] = 3
    fold_constants(ATTENTION, weights, seen([3, 2, 0, 0], [3, 3, 1, 1]))
    assert weights["attn_out"].bias.tolist() == [3, 3]
    assert rows(survivors(ATTENTION, weights).values) == [[1], [2, 3]]


def test_a_depthwise_convolution_moves_constants():
    weights = ones(MLP)
    weights["mlp_in"].weight[0] = 0
    fold_constants(replace(MLP, depthwise="dw"), weights, seen([5, 0, 0], [5, 1, 1]))
    assert survivors(MLP, weights).groups.tolist() == [0, 1, 2]
