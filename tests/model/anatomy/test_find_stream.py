"""The residual stream: which parameters belong to it, and which models have none."""

import pytest
import torch
from torch import nn

from tests.conftest import tiny_net
from tests.families.families import FAMILIES
from vitprune.model.anatomy.layers import find_structure


def stream_of(net):
    return find_structure(net).stream


def inner(name):
    """Return whether a parameter of a ViT has no entry for a channel."""
    biases = ("q_proj.bias", "k_proj.bias", "v_proj.bias", "fc1.bias", "classifier.bias")
    return name.endswith(biases)


def test_everything_but_inner_biases_belongs_to_the_stream_of_a_vit(family):
    net = tiny_net(family)
    stream = stream_of(net)
    assert stream.channels == 32
    names = {name for name, _ in net.named_parameters()}
    assert {entries.name for entries in stream.entries} == {n for n in names if not inner(n)}
    assert len(stream.norms) == 5
    for entries in stream.entries:
        assert entries.by_channel(entries.parameter).shape[0] == 32
    reads = {entries.name for entries in stream.entries if entries.reads}
    assert all(
        name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight", "fc1.weight"))
        for name in reads - {"classifier.weight"}
    )


def test_a_classifier_of_two_tokens_reads_each_channel_twice():
    stream = stream_of(FAMILIES["dinov2"].build())
    (classifier,) = (e for e in stream.entries if e.name == "classifier.weight")
    assert classifier.repeats == 2
    tensor = torch.arange(10 * 64).view(10, 64)
    assert torch.equal(classifier.by_channel(tensor)[3], tensor[:, [3, 35]])


@pytest.mark.parametrize(
    ("family", "obstacle"),
    [
        ("swin", "its blocks have residual streams of 16, 32 channels"),
        ("convnext", "its blocks have residual streams of 16, 32 channels"),
        ("resnet", "vitprune knows no attention and no MLP in its blocks"),
        ("mobilevit", "conv_stem.convolution has 8 channels and the blocks 16"),
    ],
)
def test_models_without_one_stream(family, obstacle):
    assert obstacle in stream_of(FAMILIES[family].build()).obstacle


def test_an_unknown_part_of_its_width_is_an_obstacle():
    net = tiny_net("vit")
    net.vit.layernorm = nn.Sequential(net.vit.layernorm, nn.PReLU(32))
    assert stream_of(net).obstacle == "vitprune does not know what vit.layernorm.1.weight does"
    net = tiny_net("vit")
    net.vit.layers[0].adapter = nn.Linear(32, 4)
    assert stream_of(net).obstacle == "vitprune does not know what vit.layers.0.adapter does"


def test_a_shared_weight_is_an_obstacle():
    net = tiny_net("vit")
    net.vit.layers[1].mlp.fc2.weight = net.vit.layers[0].mlp.fc2.weight
    assert "shares its weight with another layer" in stream_of(net).obstacle
