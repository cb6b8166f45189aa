"""Which methods can have a compensation."""

import pytest
import torch

from tests.conftest import tiny_net
from vitprune.errors import UsageError
from vitprune.evaluation.one_shot import check
from vitprune.model.anatomy.layers import find_layers
from vitprune.pruning import (
    Branch,
    Column,
    Element,
    Head,
    Mean,
    Method,
    Movement,
    Neuron,
    NofM,
    Ridge,
    Row,
    SparseGPT,
    Tile,
    prune,
)


@pytest.mark.parametrize("granularity", [None, Element(), NofM(2, 4), Row(), Column(), Tile(4, 8)])
def test_there_must_be_structure_to_compensate_for(granularity):
    name = type(granularity or Element()).__name__
    with pytest.raises(UsageError, match=f"^Ridge compensates .* and {name} removes none. Remove"):
        Method(granularity=granularity, compensation=Ridge())


@pytest.mark.parametrize(
    ("criterion", "message"),
    [
        (SparseGPT(), "^SparseGPT updates weights itself, which Mean does not support. Remove"),
        (Movement(), "^Movement regrows weights, which Mean does not support. Remove"),
    ],
)
def test_a_criterion_must_leave_the_weights_alone(criterion, message):
    with pytest.raises(UsageError, match=message):
        Method(criterion, Head(), compensation=Mean())


def test_bad_arguments():
    with pytest.raises(UsageError, match="needs an instance of Compensation, not 'Ridge'"):
        Method(granularity=Head(), compensation="Ridge")
    for damping in (0, -1.0, float("nan")):
        with pytest.raises(UsageError, match="Ridge needs a positive damping"):
            Ridge(damping)


def test_calibration_data_are_needed():
    with pytest.raises(UsageError, match="^Ridge needs calibration data. Pass batches"):
        prune(tiny_net(), Method(granularity=Head(), compensation=Ridge()), 0.5)
    with pytest.raises(UsageError, match="no calibration data"):
        prune(tiny_net(), Method(granularity=Head(), compensation=Ridge()), 0.5, [])


def test_a_scan_refuses_it():
    with pytest.raises(UsageError, match="^Mean changes the model that other measurements share"):
        check(Method(granularity=Head(), compensation=Mean()), [], [0.5])


def test_it_is_a_part_of_the_settings():
    described = Method(granularity=Neuron(), compensation=Ridge(0.1)).describe()
    assert described["compensation"] == {"class": "Ridge", "damping": 0.1}
    assert Method().describe()["compensation"] is None


def test_a_branch_keeps_its_bias():
    layers = [layer for layer in find_layers(tiny_net()) if layer.role in Branch.roles]
    assert Method(granularity=Branch()).biases(layers) == layers
    assert Method(granularity=Branch(), compensation=Mean()).biases(layers) == []


def test_a_single_group_that_is_left_can_compensate():
    net = tiny_net()
    batches = [(torch.randn(4, 3, 16, 16), torch.arange(4))]
    batches = [{"pixel_values": images, "labels": labels} for images, labels in batches]
    prune(net, Method(granularity=Neuron(), compensation=Ridge()), 0.98, batches)
    assert all(parameter.isfinite().all() for parameter in net.parameters())
