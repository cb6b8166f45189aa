"""Layers to prune, and their masks."""

import torch
from torch import nn

from tests.conftest import random_batches
from vitprune.model.anatomy.layers import Layer
from vitprune.model.anatomy.records import Attention, Mlp, Rows
from vitprune.pruning import LayerSelection, Magnitude, Masks, Method, Movement, Uniform
from vitprune.pruning.criteria.calibration import calibrate
from vitprune.pruning.update import update_masks


def layer_of(matrix, name="layer", role="other", block=None, heads=None):
    """Return a linear layer with this weight, (out, in)."""
    weight = torch.tensor(matrix, dtype=torch.float32)
    module = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    module.weight.data.copy_(weight)
    around = name.removesuffix(role)
    branch = None
    if heads:
        rows = (Rows(f"{around}{part}") for part in ("query", "key", "value"))
        branch = Attention(around, block, *rows, f"{around}attn_out", heads)
    elif role in ("mlp_in", "mlp_out"):
        branch = Mlp(around, block, Rows(f"{around}mlp_in"), None, f"{around}mlp_out")
    return Layer(name, module, role, block, branch)


def linear_layers(shapes, values=None):
    """Return the masks of linear layers of these shapes, (out, in), random or as `values` fills."""
    torch.manual_seed(0)
    layers = [
        Layer(f"layer{i}", nn.Linear(b, a, bias=False), "other", None)
        for i, (a, b) in enumerate(shapes)
    ]
    if values:
        for layer in layers:
            values(layer.weight.data)
    return Masks(layers)


def masked_layers(net, granularity, *, straight_through=False):
    """Return the masks of the layers of a net that a granularity prunes."""
    layers = LayerSelection().select(net, granularity.roles)
    criterion = Movement() if straight_through else Magnitude()
    return Method(criterion, granularity).masks(layers)


def kept(masks, layer):
    """Return the mask of a layer as nested lists of 0 and 1."""
    return masks[layer.weight].int().tolist()


def pruned(masks):
    """Return the number of pruned weights of all layers."""
    return sum(int((~masks[layer.weight]).sum()) for layer in masks.layers)


def statistics_of(criterion, layers, net):
    """Return statistics from random images, or such as a training might have left."""
    if criterion.straight_through:
        return {layer.name: torch.randn(layer.shape) for layer in layers}
    return calibrate(criterion, layers, random_batches(net)) if criterion.calibrated else {}


def prune_net(net, granularity, sparsity, allocation=None, criterion=None, round=1):
    """Prune a net and return its masks by block and role."""
    masks = masked_layers(net, granularity)
    method = Method(criterion or Magnitude(), granularity, allocation or Uniform())
    update_masks(masks, method, sparsity, round)
    return {(layer.block, layer.role): masks[layer.weight] for layer in masks.layers}


def sparsities_after(masks, sparsity, allocation, granularity=None, round=1):
    """Prune layers by magnitude and return the sparsity of each."""
    update_masks(masks, Method(Magnitude(), granularity, allocation), sparsity, round)
    return [float((~masks[layer.weight]).float().mean()) for layer in masks.layers]
