"""Layers are found in any torch module."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm
from transformers.pytorch_utils import Conv1D

from vitprune.model.anatomy.layers import block_names, find_layers


def names_of(model):
    return [layer.name for layer in find_layers(model)]


@pytest.mark.parametrize(
    ("module", "matrix_shape"),
    [
        (nn.Linear(3, 4), (4, 3)),
        (nn.Conv1d(2, 4, 3), (4, 6)),
        (nn.Conv2d(2, 4, 3), (4, 18)),
        (nn.Conv3d(2, 4, 3), (4, 54)),
        (nn.Conv2d(4, 8, 3, groups=2), (8, 18)),
        (nn.ConvTranspose1d(2, 4, 3), (4, 6)),
        (nn.ConvTranspose2d(2, 4, 3), (4, 18)),
        (nn.ConvTranspose3d(2, 4, 3), (4, 54)),
        (nn.ConvTranspose2d(4, 8, 3, groups=2), (8, 18)),
        (Conv1D(4, 3), (4, 3)),
    ],
    ids=repr,
)
def test_linear_and_convolutional_weights_are_layers(module, matrix_shape):
    (layer,) = find_layers(nn.Sequential(module))
    assert layer.name == "0"
    assert layer.parameter_name == "0.weight"
    assert layer.weight is module.weight
    assert layer.bias is module.bias
    assert layer.shape == module.weight.shape
    assert layer.matrix_shape == matrix_shape


def test_a_model_that_is_a_layer_itself_has_its_parameter_name():
    model = nn.Linear(3, 4, bias=False)
    (layer,) = find_layers(model)
    assert layer.parameter_name == "weight"
    assert layer.bias is None


def test_input_projections_of_attention_are_layers():
    model = nn.ModuleDict({"attn": nn.MultiheadAttention(8, 2)})
    layers = find_layers(model)
    assert [layer.name for layer in layers] == ["attn.in_proj", "attn.out_proj"]
    assert [layer.parameter_name for layer in layers] == [
        "attn.in_proj_weight",
        "attn.out_proj.weight",
    ]
    in_proj = layers[0]
    assert in_proj.weight is model["attn"].in_proj_weight
    assert in_proj.bias is model["attn"].in_proj_bias
    assert in_proj.heads == 2


def test_projections_of_attention_between_unequal_widths_are_layers_of_their_own():
    model = nn.TransformerDecoderLayer(8, 2, 16)
    model.multihead_attn = nn.MultiheadAttention(8, 2, kdim=4, vdim=6)
    layers = {layer.name: layer for layer in find_layers(model)}
    assert list(layers) == [
        "self_attn.in_proj",
        "self_attn.out_proj",
        "multihead_attn.q_proj",
        "multihead_attn.k_proj",
        "multihead_attn.v_proj",
        "multihead_attn.out_proj",
        "linear1",
        "linear2",
    ]
    assert layers["multihead_attn.k_proj"].shape == (8, 4)
    assert layers["multihead_attn.k_proj"].bias is None
    for layer in layers.values():
        assert layer.weight is model.get_parameter(layer.parameter_name)


def test_embeddings_recurrent_layers_and_norms_are_no_layers():
    model = nn.Sequential(nn.Embedding(5, 3), nn.LSTM(3, 3), nn.LayerNorm(3), nn.Bilinear(3, 3, 2))
    assert names_of(model) == []


def test_a_shared_parameter_is_one_layer():
    model = nn.Sequential(nn.Embedding(8, 4), nn.Linear(4, 8), nn.Linear(4, 8), nn.Linear(4, 8))
    for module in model[1:3]:
        module.weight = model[0].weight
    assert names_of(model) == ["1", "3"]


@pytest.mark.parametrize(
    "change",
    [
        parametrizations.weight_norm,
        parametrizations.spectral_norm,
        parametrizations.orthogonal,
        spectral_norm,
        lambda module: prune.random_unstructured(module, "weight", 0.5),
        lambda module: module.to(torch.float8_e4m3fn),
        lambda module: setattr(module, "weight", nn.Parameter(torch.empty(0))),  # as ZeRO 3 does
    ],
    ids=[
        "weight_norm",
        "spectral_norm",
        "orthogonal",
        "old spectral_norm",
        "prune",
        "float8",
        "sharded",
    ],
)
def test_weights_that_are_no_plain_parameters_are_left_alone(change):
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    change(model[0])
    assert names_of(model) == ["1"]


def test_packed_weights_are_left_alone():
    class Packed(nn.Parameter):
        """Like those of bitsandbytes, which are packed when they are moved to a GPU."""

    class Quantized(nn.Linear):
        def __init__(self):
            super().__init__(4, 4)
            self.weight = Packed(self.weight.data)

    integers = nn.Linear(4, 4)
    integers.weight = nn.Parameter(torch.ones(4, 2, dtype=torch.uint8), requires_grad=False)
    assert names_of(nn.Sequential(Quantized(), integers, nn.Linear(4, 4))) == ["2"]


def test_lazy_modules_are_layers_once_they_are_initialized():
    model = nn.Sequential(nn.LazyLinear(4), nn.Linear(4, 4))
    assert names_of(model) == ["1"]
    model(torch.randn(2, 3))
    assert names_of(model) == ["0", "1"]


def test_of_an_adapted_layer_only_its_base_layer_is_one():
    class Adapted(nn.Module):
        """A layer of peft."""

        def __init__(self):
            super().__init__()
            self.base_layer = nn.Linear(4, 4)
            self.lora_A = nn.ModuleDict({"default": nn.Linear(4, 2)})
            self.lora_B = nn.ModuleDict({"default": nn.Linear(2, 4)})

    model = nn.ModuleDict(
        {
            "q_proj": Adapted(),
            **{name: nn.Linear(4, 4) for name in ("k_proj", "v_proj", "o_proj")},
        }
    )
    model.num_heads = 2
    assert {layer.name: layer.role for layer in find_layers(model)} == {
        "q_proj.base_layer": "query",
        "k_proj": "key",
        "v_proj": "value",
        "o_proj": "attn_out",
    }


def test_a_list_of_attention_and_mlp_is_one_block():
    """As in vit-pytorch; a list of modules of one class is a stage."""
    mlp = nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4))
    layers = nn.ModuleList([nn.ModuleList([nn.Linear(4, 4), mlp]) for _ in range(2)])
    assert block_names(nn.ModuleDict({"layers": layers})) == ["layers.0", "layers.1"]
    stages = nn.ModuleList([nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)]) for _ in range(2)])
    assert len(block_names(nn.ModuleDict({"block": stages}))) == 4
