"""Rows and columns of a linear layer, by hand."""

import torch
from torch import nn

from vitprune.exports.shrinking.affine import Affine
from vitprune.model.anatomy.layers import Layer
from vitprune.model.anatomy.records import Rows


def affine(weight, bias):
    return Affine(torch.tensor(weight).double(), torch.tensor(bias).double())


def test_a_module_is_copied():
    module = nn.Linear(2, 3, bias=False)
    copy = Affine.of(Layer("one", module, "other", None))
    assert copy.bias.tolist() == [0, 0, 0]
    assert not copy.has_bias
    copy.weight.zero_()
    assert module.weight.any()


def test_a_part_of_a_fused_layer_is_copied():
    module = nn.Conv2d(2, 6, 1)
    copy = Affine.of(Layer("qkv", module, "qkv", None), Rows("qkv", 1, 3))
    assert torch.equal(copy.weight, module.weight[2:4, :, 0, 0].double())
    assert torch.equal(copy.bias, module.bias[2:4].double())


def test_which_rows_and_columns_are_alive():
    layer = affine([[0.0, 0.0, 0.0], [0.0, 5.0, 0.0]], [1.0, 0.0])
    assert layer.rows.tolist() == [False, True]
    assert layer.columns.tolist() == [False, True, False]


def test_constant_inputs_move_into_the_bias():
    layer = affine([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [10.0, 20.0])
    layer.fold(torch.tensor([True, False, True]), torch.tensor([2.0, 99.0, -1.0]).double())
    assert layer.weight.tolist() == [[0, 2, 0], [0, 5, 0]]
    assert layer.bias.tolist() == [10 + 2 - 3, 20 + 8 - 6]


def test_rows_and_columns_are_taken_with_padding():
    layer = affine([[1.0, 2.0], [3.0, 4.0]], [5.0, 6.0])
    taken = layer.take_rows(torch.tensor([1, -1]))
    assert taken.weight.tolist() == [[3, 4], [0, 0]]
    assert taken.bias.tolist() == [6, 0]
    taken = layer.take_columns(torch.tensor([-1, 0]))
    assert taken.weight.tolist() == [[0, 1], [0, 3]]
    assert taken.bias.tolist() == [5, 6]
