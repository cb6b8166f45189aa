"""The hash of a model's weights."""

import copy

import pytest
import torch

from tests.conftest import tiny_net
from vitprune.evaluation.fingerprint import fingerprint
from vitprune.model.anatomy.layers import find_layers
from vitprune.pruning import masks


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_bit_of_weights_and_masks_counts(dtype):
    net = tiny_net().to(dtype)
    net.register_buffer("counter", torch.tensor(0))
    prints = [fingerprint(net), fingerprint(copy.deepcopy(net))]
    assert prints[0] == prints[1]
    net.classifier.bias.data[0] = -net.classifier.bias.data[0]
    prints.append(fingerprint(net))
    masks.attach(find_layers(net))
    prints.append(fingerprint(net))
    masks.read(find_layers(net)[0])[0] = False
    prints.append(fingerprint(net))
    assert len(set(prints)) == 4
