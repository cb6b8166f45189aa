import pytest
import torch
from torch import nn

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning import masks


@pytest.fixture
def layers():
    torch.manual_seed(0)
    shapes = [(20, 30), (8, 10), (40, 5)]
    found = [
        Layer(f"layer{i}", nn.Linear(b, a, bias=False), "other", None)
        for i, (a, b) in enumerate(shapes)
    ]
    for factor, layer in enumerate(found, start=1):
        layer.module.weight.data *= factor
    masks.attach(found)
    return found
