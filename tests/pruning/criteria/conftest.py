import pytest
import torch

from tests.pruning.criteria.toy import Toy
from vitprune.model.anatomy.layers import Layer


@pytest.fixture
def toy():
    torch.manual_seed(1)
    net = Toy()
    return net, Layer("linear", net.linear, "other", None)
