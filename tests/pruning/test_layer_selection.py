"""Layers to prune."""

import pytest
from torch import nn

from tests.conftest import tiny_net
from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import find_layers
from vitprune.pruning import LayerSelection


class TestLayerSelection:
    def test_by_default_the_weight_matrices_of_the_blocks(self, family):
        chosen = LayerSelection().select(tiny_net(family))
        assert [layer.role for layer in chosen] == [
            "query",
            "key",
            "value",
            "attn_out",
            "mlp_in",
            "mlp_out",
        ] * 2
        assert [layer.block for layer in chosen] == [0] * 6 + [1] * 6

    def test_norms_biases_and_embeddings_are_never_chosen(self, family):
        everything = LayerSelection(names=["*"]).select(tiny_net(family))
        assert {type(layer.module) for layer in everything} == {nn.Linear, nn.Conv2d}

    def test_roles_blocks_and_patterns(self):
        net = tiny_net()
        assert len(LayerSelection(roles=["mlp_in", "classifier"]).select(net)) == 3
        assert {layer.block for layer in LayerSelection(skip_blocks=[-1]).select(net)} == {0}
        assert {layer.block for layer in LayerSelection(blocks=[1]).select(net)} == {1}
        assert [
            layer.role for layer in LayerSelection(names=["*fc1", "classifier"]).select(net)
        ] == [
            "mlp_in",
            "mlp_in",
            "classifier",
        ]
        assert "query" not in {
            layer.role for layer in LayerSelection(exclude=["*q_proj"]).select(net)
        }

    def test_frozen_weights_are_left_out_unless_named(self):
        net = tiny_net()
        frozen = next(layer for layer in find_layers(net) if layer.role == "query")
        frozen.module.weight.requires_grad_(False)
        assert frozen.name not in {layer.name for layer in LayerSelection().select(net)}
        assert frozen.name in {
            layer.name for layer in LayerSelection(names=["*q_proj"]).select(net)
        }

    @pytest.mark.parametrize(
        ("selection", "message"),
        [
            ({"roles": ["querry"]}, "unknown roles.*valid are query, key"),
            ({"blocks": [7]}, "blocks names block 7, and the model has the blocks 0 to 1"),
            ({"skip_blocks": [-3]}, "skip_blocks names block -3, and the model has"),
            ({"names": ["*nothing*"]}, r"nothing\*' matches no layer(.|\n)*q_proj"),
            ({"roles": ["query"], "names": ["*fc1"]}, "selection matches nothing"),
        ],
    )
    def test_impossible_selections_say_what_is_valid(self, selection, message):
        with pytest.raises(UsageError, match=message):
            LayerSelection(**selection).select(tiny_net())
