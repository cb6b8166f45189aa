"""The hash of a model's weights."""

import copy

import pytest
import torch

from tests.conftest import tiny_net
from vitprune.evaluation.fingerprint import fingerprint


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_bit_of_the_weights_counts(dtype):
    net = tiny_net().to(dtype)
    net.register_buffer("counter", torch.tensor(0))
    prints = [fingerprint(net), fingerprint(copy.deepcopy(net))]
    assert prints[0] == prints[1]
    net.classifier.bias.data[0] = -net.classifier.bias.data[0]
    prints.append(fingerprint(net))
    assert len(set(prints)) == 2
