import pytest
import torch

from tests.pruning.criteria.toy import Toy
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning import masks


@pytest.fixture
def toy():
    torch.manual_seed(1)
    net = Toy()
    layer = Layer("linear", net.linear, "other", None)
    masks.attach([layer])
    return net, layer
