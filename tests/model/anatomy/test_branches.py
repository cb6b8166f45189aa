"""Attentions and MLPs are found by the names of the layers in a module."""

import pytest
import timm
import torch
from timm.layers import SEModule
from timm.layers.attention_pool import AttentionPoolLatent
from torch import nn

from tests.conftest import tiny_net
from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import find_layers, find_structure
from vitprune.model.anatomy.records import Attention, Mlp, Rows
from vitprune.pruning import AttentionNames, MlpNames, declare


def in_block(module, **others):
    """Return a model with a single block."""
    return nn.ModuleDict({"layers": nn.ModuleList([module]), **others})


def tiny_timm(name="vit_tiny_patch16_224", **changes):
    return timm.create_model(
        name, img_size=32, patch_size=8, embed_dim=32, depth=1, num_classes=10, **changes
    )


def test_separate_weights():
    attention, mlp = find_structure(tiny_net(num_hidden_layers=1)).branches
    name = "vit.layers.0.attention"
    assert attention.name == name
    assert attention.block == 0
    assert attention.query == Rows(f"{name}.q_proj")
    assert attention.output == f"{name}.o_proj"
    assert attention.heads == 2
    assert attention.rotary is None
    assert mlp.up == Rows("vit.layers.0.mlp.fc1")
    assert mlp.gate is None
    assert mlp.down == "vit.layers.0.mlp.fc2"


def test_fused_weights():
    net = tiny_timm("eva02_tiny_patch14_224", num_heads=4)
    attention, mlp = find_structure(net).branches
    qkv = "blocks.0.attn.qkv"
    assert (attention.query, attention.key, attention.value) == (
        Rows(qkv, 0, 3),
        Rows(qkv, 1, 3),
        Rows(qkv, 2, 3),
    )
    assert attention.rotary == "neighbours"
    assert (mlp.up, mlp.gate) == (Rows("blocks.0.mlp.fc1", 0, 2), Rows("blocks.0.mlp.fc1", 1, 2))
    assert {layer.name.removeprefix("blocks.0."): layer.role for layer in find_layers(net)} == {
        "patch_embed.proj": "patch_embed",
        "attn.qkv": "qkv",
        "attn.proj": "attn_out",
        "mlp.fc1": "mlp_in",
        "mlp.fc2": "mlp_out",
        "head": "classifier",
    }


def test_rows_are_one_of_equal_parts():
    tensor = torch.arange(12).view(6, 2)
    assert Rows("qkv", 1, 3).of(tensor).tolist() == [[4, 5], [6, 7]]
    assert Rows("query").of(tensor) is not None
    assert Rows("query").of(tensor).data_ptr() == tensor.data_ptr()


def test_norms_are_recorded():
    (attention, _) = find_structure(tiny_timm(qk_norm=True, num_heads=4)).branches
    assert attention.normed_scores
    assert not attention.inner_norm
    (attention, _) = find_structure(tiny_timm(scale_attn_norm=True, num_heads=4)).branches
    assert attention.inner_norm
    (_, mlp) = find_structure(tiny_timm(scale_mlp_norm=True, num_heads=4)).branches
    assert mlp.inner_norm


def test_a_norm_after_the_output_is_none_of_the_heads():
    branches = find_structure(
        nn.ModuleDict({"pool": AttentionPoolLatent(32, num_heads=4)})
    ).branches
    attention = next(branch for branch in branches if isinstance(branch, Attention))
    assert not attention.inner_norm
    assert attention.query == Rows("pool.q")
    assert attention.key == Rows("pool.kv", 0, 2)


def test_a_squeeze_and_excitation_is_no_mlp():
    assert find_structure(in_block(SEModule(32))).branches == []


class Unknown(nn.Module):
    """An attention whose names are not known."""

    def __init__(self, width=12, heads=4):
        super().__init__()
        self.number = heads
        self.ask, self.offer, self.give = (nn.Linear(8, width) for _ in range(3))
        self.merge = nn.Linear(width, 8)


NAMES = AttentionNames(query="ask", key="offer", value="give", output="merge", heads="number")


def declared(names, **sizes):
    """Return the structure of a model with a module of a new class that is declared."""

    class Declared(Unknown):
        pass

    declare(Declared, names)
    return find_structure(in_block(Declared(**sizes)))


def test_a_declaration_makes_an_attention_known():
    assert find_structure(in_block(Unknown())).branches == []
    (attention,) = declared(NAMES).branches
    assert attention.heads == 4
    assert list(attention.roles.values()) == ["query", "key", "value", "attn_out"]


def test_a_declaration_holds_for_derived_classes():
    class Base(Unknown):
        pass

    class Derived(Base):
        pass

    declare(Base, NAMES)
    assert len(find_structure(in_block(Derived())).branches) == 1


@pytest.mark.parametrize(
    ("names", "sizes", "message"),
    [
        (
            AttentionNames(qkv="all", output="merge", heads="number"),
            {},
            "layers.0 does not fit its declaration: Declared has no 'all'",
        ),
        (NAMES, {"width": 10}, "the 10 outputs of layers.0.ask do not divide into 4 heads"),
        (
            AttentionNames(qkv="ask", output="merge", heads="number"),
            {"width": 20},
            "the 20 outputs of layers.0.ask do not divide into 3 x 4 heads",
        ),
        (
            AttentionNames(qkv="ask", output="merge", heads="number"),
            {"width": 24},
            "layers.0.ask computes 8 values, and layers.0.merge reads 24",
        ),
        (MlpNames(up="ask", down="merging"), {}, "Declared has no 'merging'"),
    ],
)
def test_the_first_difference_to_a_declaration_is_named(names, sizes, message):
    with pytest.raises(UsageError, match=message):
        declared(names, **sizes)


def test_a_fused_weight_that_does_not_divide_is_a_mismatch():
    block = tiny_timm(num_heads=4).blocks[0]
    block.attn.num_heads = 5
    structure = find_structure(in_block(block))
    assert [type(branch) for branch in structure.branches] == [Mlp]
    assert structure.mismatches == {
        "layers.0.attn": "the 96 outputs of layers.0.attn.qkv do not divide into 3 x 5 heads"
    }
