"""What shrinking removed, what stays, and what `required` refuses."""

import pytest
import torch

from tests.exports.small_nets import (
    BLOCKS,
    HEAD_DIM,
    STREAM,
    dimensions,
    drop,
    images,
    linear,
    random_net,
    tiny_resnet,
)
from vitprune.errors import UsageError
from vitprune.exports.costs import count_parameters
from vitprune.exports.shrinking.shrinkage import shrink_and_describe, shrink_and_verify
from vitprune.runs.shrink_report import ModelWidths


def test_what_is_removed_and_what_stays_are_counted():
    net = random_net()
    drop(net, 0, "attn_out", dimensions([0]), dim=1)
    for block, neurons in enumerate((4, 6, 5)):
        drop(net, block, "mlp_in", range(neurons), dim=0, bias=True)
    drop(net, 2, "mlp_out", [3], dim=0)  # a channel of the residual stream
    linear(net, 1, "key").weight.data[0, 0] = 0
    report = shrink_and_describe(net).report
    neuron = 2 * STREAM + 1
    head = 4 * STREAM * HEAD_DIM + 3 * HEAD_DIM
    assert report.ran
    assert report.before == ModelWidths(blocks=3, heads=2, head_dim=8, neurons=12, channels=16)
    assert report.after == ModelWidths(blocks=3, heads=2, head_dim=8, neurons=8, channels=16)
    assert [block.neurons for block in report.blocks] == [8, 6, 7]
    assert [block.heads for block in report.blocks] == [1, 2, 2]
    assert report.dropped_parameters == 3 * 4 * neuron
    assert report.dropped_by_load_pruned == 3 * neuron + head
    assert report.narrowed_by_load_pruned == ["heads", "neurons"]
    assert report.stayed == {
        "residual_stream": 7,
        "uneven_widths": 3 * neuron + head,
        "fixed_widths": 0,
        "single_weights": 1,
    }
    assert report.settings_before == {"intermediate_size": 12}
    assert report.loads_smaller == ["transformers", "load_pruned"]


REFUSED = {
    "LayerNorm normalises over all of them": lambda net: drop(net, 0, "mlp_out", [3], dim=0),
    "the configuration cannot express these widths": lambda net: drop(net, 0, "mlp_in", [3], dim=0),
    "no whole head, dimension of a head, neuron or branch": lambda net: None,
}


@pytest.mark.parametrize("reason", REFUSED)
def test_required_refuses_to_leave_structure_behind(reason):
    net = random_net().float()
    REFUSED[reason](net)
    with pytest.raises(UsageError, match=f"--shrink required: .*{reason}"):
        shrink_and_verify(net, "required", images().float())


def test_required_is_met_where_all_structure_is_removed():
    net = random_net().float()
    for block in range(BLOCKS):
        drop(net, block, "attn_out", dimensions([0]), dim=1)
    shrunk = shrink_and_verify(net, "required", images().float())
    report = shrunk.report
    assert report.dropped_parameters == count_parameters(net) - count_parameters(shrunk.net) > 0
    assert report.largest_logit_difference_float64 < 1e-10


def test_off_removes_nothing():
    net = random_net().float()
    drop(net, 0, "attn_out", dimensions([0]), dim=1)
    shrunk = shrink_and_verify(net, "off", images().float())
    assert shrunk.net is shrunk.smallest is net
    assert not shrunk.report.ran
    assert shrunk.report.reason == "shrinking is off"


def test_a_family_of_which_nothing_is_known_is_not_shrunk():
    net = tiny_resnet()
    images = torch.randn(2, 3, 32, 32)
    with pytest.raises(UsageError, match="'resnet' cannot be shrunk: none of their modules"):
        shrink_and_verify(net, "required", images)
    shrunk = shrink_and_verify(net, "auto", images)
    assert shrunk.net is net
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert "'resnet' cannot be shrunk" in shrunk.report.reason
