"""Masked layers to prune."""

import torch
from torch import nn

from tests.conftest import random_batches
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning import LayerSelection, Magnitude, Method, Uniform, masks
from vitprune.pruning.criteria.calibration import calibrate
from vitprune.pruning.update import update_masks


def linear_layers(shapes, values=None):
    """Return masked linear layers of these shapes, (out, in), random or filled by `values`."""
    torch.manual_seed(0)
    layers = [
        Layer(f"layer{i}", nn.Linear(b, a, bias=False), "other", None)
        for i, (a, b) in enumerate(shapes)
    ]
    if values:
        for layer in layers:
            values(layer.module.weight.data)
    masks.attach(layers)
    return layers


def layer_of(matrix, name="layer", role="other", block=None, heads=None):
    """Return a masked linear layer with this weight, (out, in)."""
    weight = torch.tensor(matrix, dtype=torch.float32)
    module = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    module.weight.data.copy_(weight)
    layer = Layer(name, module, role, block, heads)
    masks.attach([layer])
    return layer


def kept(layer):
    """Return the mask of a layer as nested lists of 0 and 1."""
    return masks.read(layer).int().tolist()


def masked_layers(net, granularity, *, straight_through=False):
    """Return the layers of a net that a granularity prunes, with masks."""
    layers = LayerSelection().select(net, granularity.roles)
    masks.attach(layers, straight_through=straight_through)
    for grouping in granularity.groupings(layers):
        masks.attach(grouping.biases, "bias")
    return layers


def statistics_of(criterion, layers, net):
    """Return statistics from random images, or such as a training might have left."""
    if criterion.straight_through:
        return {layer.name: torch.randn(layer.shape) for layer in layers}
    return calibrate(criterion, layers, random_batches(net)) if criterion.calibrated else {}


def prune_net(net, granularity, sparsity, allocation=None, criterion=None, round=1):
    """Prune a net and return its masks by block and role."""
    layers = masked_layers(net, granularity)
    method = Method(criterion or Magnitude(), granularity, allocation or Uniform())
    update_masks(layers, method, sparsity, round)
    return {(layer.block, layer.role): masks.read(layer) for layer in layers}


def sparsities_after(layers, sparsity, allocation, granularity=None, round=1):
    """Prune layers by magnitude and return the sparsity of each."""
    update_masks(layers, Method(Magnitude(), granularity, allocation), sparsity, round)
    return [float((~masks.read(layer)).float().mean()) for layer in layers]
