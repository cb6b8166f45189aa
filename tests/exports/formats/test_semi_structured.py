"""What can be converted to 2:4 sparsity, and what it gives."""

import pytest
import torch

from tests.conftest import tiny_net
from tests.exports.small_nets import linear
from vitprune.errors import UsageError
from vitprune.exports import semi_structured
from vitprune.exports.exported import Exported
from vitprune.exports.formats.semi_structured import SemiStructured
from vitprune.exports.verify import logits
from vitprune.model.anatomy.layers import BLOCK_ROLES, find_layers
from vitprune.runs.run_folder import ExportFolder


def two_of_four(net):
    """Keep the two largest of four consecutive inputs in every linear layer of the blocks."""
    for layer in find_layers(net):
        if layer.role in BLOCK_ROLES:
            groups = layer.weight.data.view(len(layer.weight), -1, 4)
            groups.scatter_(-1, groups.abs().topk(2, dim=-1, largest=False).indices, 0)
    return net


def describe_2_to_4(net, folder):
    images = torch.randn(2, 3, 16, 16)
    net.save_pretrained(folder)
    return SemiStructured().write(
        Exported(net, net, images, logits(net, images), ExportFolder(folder))
    )


def test_what_can_be_converted_to_2_to_4(tmp_path):
    net = two_of_four(tiny_net(hidden_size=64, intermediate_size=128))
    report = describe_2_to_4(net, tmp_path)
    assert len(report.layers) == 12
    assert report.dense_layers == {
        "classifier": "has the shape (10, 64), not multiples of (32, 64)"
    }
    assert report.converted == (semi_structured.missing_gpu() is None)
    linear(net, 1, "key").weight.data[5, 8:11] = 1
    report = describe_2_to_4(net, tmp_path)
    assert (
        report.dense_layers["vit.layers.1.attention.k_proj"]
        == "has 3 weights in some group of 4, more than 2"
    )
    assert len(report.layers) == 11


@pytest.mark.skipif(torch.cuda.is_available(), reason="says so only where there is no GPU")
def test_without_a_gpu_2_to_4_says_so(tmp_path):
    report = describe_2_to_4(two_of_four(tiny_net(hidden_size=64, intermediate_size=128)), tmp_path)
    assert report.note.startswith("there is no CUDA GPU")


@pytest.mark.skipif(
    semi_structured.missing_gpu() is not None, reason="needs a GPU with sparse tensor cores"
)
def test_on_a_gpu_2_to_4_gives_the_same_logits(tmp_path):
    report = describe_2_to_4(two_of_four(tiny_net(hidden_size=64, intermediate_size=128)), tmp_path)
    assert report.converted
    assert report.largest_logit_difference < 0.05


def test_without_2_to_4_masks_there_is_nothing_to_convert(tmp_path):
    with pytest.raises(
        UsageError, match=r"no layer is 2:4 sparse; .*q_proj has 4 weights .* NofM\(2, 4\)"
    ):
        describe_2_to_4(tiny_net(hidden_size=64, intermediate_size=128), tmp_path)
