"""Sparsity of a model: exact zeros, over the prunable weights and over all parameters."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.masks.sharding import whole


@dataclass(frozen=True)
class Sparsity:
    """Fractions of exact zeros, in [0, 1].

    Attributes:
        prunable: Sparsity of the weights of the selected layers together.
        total: Sparsity of all parameters of the model.
        layers: Sparsity of each selected layer's weight, by name.
        parameters: Number of parameters of the model.
        zeros: Number of zeros among them.

    """

    prunable: float
    total: float
    layers: dict[str, float]
    parameters: int
    zeros: int

    def scalars(self) -> dict[str, float]:
        """Return what is logged: `sparsity/prunable`, `sparsity/total`, `sparsity/layer/<name>`."""
        return {
            "sparsity/prunable": self.prunable,
            "sparsity/total": self.total,
            **{f"sparsity/layer/{name}": value for name, value in self.layers.items()},
        }


@torch.no_grad()
def measure(model: nn.Module, layers: Sequence[Layer] = ()) -> Sparsity:
    """Count the zeros of a model and of its prunable layers."""
    zeros = {layer.name: _zeros(whole(layer.weight)) for layer in layers}
    sizes = {layer.name: layer.shape.numel() for layer in layers}
    values = [whole(value) for value in model.parameters()]
    parameters = sum(value.numel() for value in values)
    all_zeros = sum(map(_zeros, values))
    return Sparsity(
        prunable=sum(zeros.values()) / sum(sizes.values()) if sizes else 0.0,
        total=all_zeros / parameters,
        layers={name: zeros[name] / sizes[name] for name in zeros},
        parameters=parameters,
        zeros=all_zeros,
    )


@torch.no_grad()
def sparsity_of(layers: Sequence[Layer]) -> float:
    """Return the fraction of the weights of some layers that is zero, in [0, 1]."""
    zeros = sum(_zeros(whole(layer.weight)) for layer in layers)
    return zeros / sum(layer.shape.numel() for layer in layers)


def _zeros(value: Tensor) -> int:
    return value.numel() - int(torch.count_nonzero(value))
