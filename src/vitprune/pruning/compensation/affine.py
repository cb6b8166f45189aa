"""Weights and biases in float64, and back."""

import torch
from torch import Tensor, nn

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.masks.sharding import place, whole


def matrix_of(layer: Layer) -> Tensor:
    """Copy the weight of a layer, (out, in), float64."""
    return whole(layer.weight.detach()).flatten(1).to(torch.float64, copy=True)


def bias_of(layer: Layer) -> Tensor:
    """Copy the bias of a layer, (out,), float64; zeros if it has none."""
    if layer.bias is None:
        return torch.zeros(layer.matrix_shape[0], dtype=torch.float64, device=layer.weight.device)
    return whole(layer.bias.detach()).to(torch.float64, copy=True)


def write(layer: Layer, weight: Tensor, bias: Tensor) -> None:
    """Replace weight and bias of a layer, in place; it need not have a bias.

    Args:
        layer: The layer.
        weight: (out, in).
        bias: (out,).

    """
    _copy(weight.view(layer.shape), layer.weight)
    if layer.bias is not None:
        _copy(bias, layer.bias)


def _copy(value: Tensor, parameter: nn.Parameter) -> None:
    parameter.copy_(place(value.to(parameter.dtype), parameter))
