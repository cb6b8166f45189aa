"""Layers to prune."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from tests.conftest import tiny_net
from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import find_layers
from vitprune.pruning import Branch, Combined, Head, LayerSelection, Neuron


def names_of(layers):
    return [layer.name for layer in layers]


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

    def test_what_no_optimizer_trains_is_left_out_unless_named(self):
        net = nn.ModuleDict({"net": nn.Linear(3, 3), "teacher": nn.Linear(3, 3)})
        trained = set(net["net"].parameters())
        assert names_of(LayerSelection().select(net, trained=trained)) == ["net"]
        assert names_of(LayerSelection().select(net)) == ["net", "teacher"]
        named = LayerSelection(names=["*"]).select(net, trained=trained)
        assert names_of(named) == ["net", "teacher"]

    def test_a_selection_of_which_nothing_is_trained_is_refused_by_name(self):
        net = nn.Sequential(*(nn.Linear(3, 3) for _ in range(7)))
        net[0].requires_grad_(False)
        message = r"0 \(frozen\), 1 \(no optimizer trains it\), .*, 2 more.*pruning.layers.names"
        with pytest.raises(UsageError, match=message):
            LayerSelection().select(net, trained=set())

    def test_weights_that_are_left_alone_can_be_excluded_but_not_named(self):
        net = nn.Sequential(nn.Linear(3, 3), parametrizations.weight_norm(nn.Linear(3, 3)))
        assert names_of(LayerSelection(exclude=["1"]).select(net)) == ["0"]
        with pytest.raises(UsageError, match="1 cannot be pruned: .* parametrized by WeightNorm"):
            LayerSelection(names=["1"]).select(net)
        with pytest.raises(UsageError, match=r"1  \(cannot be pruned: parametrized by WeightNorm"):
            LayerSelection(exclude=["0"]).select(net)

    def test_lazy_parameters_are_named_until_they_are_initialized(self):
        net = nn.Sequential(nn.Linear(3, 4), nn.LazyBatchNorm1d(), nn.LazyLinear(2))
        with pytest.raises(UsageError, match=r"not initialized: 1.weight, 1.bias, 2.weight"):
            LayerSelection().select(net)
        net(torch.randn(5, 3))
        assert names_of(LayerSelection().select(net)) == ["0", "2"]

    def test_a_model_without_layers_says_so(self):
        with pytest.raises(UsageError, match="no linear or convolutional layer"):
            LayerSelection().select(nn.LSTM(3, 3))

    @pytest.mark.parametrize(
        ("selection", "message"),
        [
            ({"roles": ["querry"]}, "unknown roles.*valid are query, key"),
            ({"blocks": [7]}, "blocks names block 7, and the model has the blocks 0 to 1"),
            ({"skip_blocks": [-3]}, "skip_blocks names block -3, and the model has"),
            ({"names": ["*nothing*"]}, r"nothing\*' matches no layer(.|\n)*q_proj"),
            ({"roles": ["query"], "names": ["*fc1"]}, "selection matches no layer"),
        ],
    )
    def test_impossible_selections_say_what_is_valid(self, selection, message):
        with pytest.raises(UsageError, match=message):
            LayerSelection(**selection).select(tiny_net())


def test_a_pattern_instead_of_a_list_is_refused():
    with pytest.raises(UsageError, match=r"names must be a list, such as \['head'\], not 'head'"):
        LayerSelection(names="head")


class TestPartsThatAModelLacks:
    """A granularity of attentions or MLPs on a model in which none are known."""

    def test_half_of_the_branches_is_not_pruned_unless_asked_for(self):
        net = nn.ModuleDict({"layers": nn.ModuleList([mlp(), mlp()])})
        with pytest.raises(
            UsageError,
            match=r"no attention in ModuleDict, so that only its MLPs would be pruned. To prune "
            r"only them, set pruning.layers.roles to \[mlp_out\]",
        ):
            LayerSelection().select(net, Branch.roles)
        layers = LayerSelection(roles=["mlp_out"]).select(net, Branch.roles)
        assert len(Branch().groupings(layers)) == 2
        with pytest.raises(UsageError, match="only its MLPs .* use a granularity for them alone"):
            LayerSelection().select(net, Combined([Head(), Neuron()]).roles)

    def test_branches_outside_of_the_residual_stream_are_not_pruned(self):
        layers = LayerSelection(roles=["mlp_out"]).select(nn.ModuleDict({"pool": mlp()}))
        with pytest.raises(UsageError, match="outside of the blocks: pool.fc2"):
            Branch().groupings(layers)

    def test_what_is_known_and_how_to_declare_the_rest(self):
        net = tiny_net()
        for block in net.vit.layers:
            block.attention.num_attention_heads = 3
        with pytest.raises(UsageError) as raised:
            LayerSelection().select(net, Head.roles)
        assert str(raised.value) == (
            "vitprune knows no attention in ViTForImageClassification: its layers have the roles "
            "mlp_in, mlp_out, patch_embed, classifier, other; the 32 outputs of "
            "vit.layers.0.attention.q_proj do not divide into 3 heads. Declare its modules by "
            "vitprune.pruning.declare, or use a granularity within one layer, such as Row."
        )


def mlp():
    """Return an MLP with names that are known."""
    return nn.ModuleDict({"fc1": nn.Linear(4, 8), "fc2": nn.Linear(8, 4)})
