"""2:4 sparsity on GPUs: at most 2 of 4 consecutive inputs, for the sparse tensor cores."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.sparse import to_sparse_semi_structured
from transformers import PreTrainedModel

from vitprune.model.anatomy.layers import find_layers

GROUP = 4
KEPT = 2
ROWS = 32  # torch's kernels need multiples of these in half precision
COLUMNS = 64
CAPABILITY = (8, 0)  # Ampere


@dataclass(frozen=True)
class Convertible:
    """Which linear layers of a model are 2:4 sparse.

    Attributes:
        layers: Names of the layers that can be converted.
        refused: Reason why a layer cannot be converted, by its name.

    """

    layers: list[str]
    refused: dict[str, str]


def convert(net: PreTrainedModel) -> PreTrainedModel:
    """Give every 2:4 sparse layer a sparse weight, in place, for inference.

    Args:
        net: Model on a GPU of compute capability 8.0 or above, in bfloat16 or float16.

    """
    for name in find_convertible(net).layers:
        module = net.get_submodule(name)
        sparse = to_sparse_semi_structured(module.weight.detach().contiguous())
        module.weight = nn.Parameter(sparse, requires_grad=False)
    return net


def find_convertible(net: PreTrainedModel) -> Convertible:
    """Return which linear layers can be converted, and why the others cannot."""
    linear = [layer for layer in find_layers(net) if isinstance(layer.module, nn.Linear)]
    reasons = {layer.name: _refusal(layer.weight) for layer in linear}
    return Convertible(
        layers=[name for name, reason in reasons.items() if reason is None],
        refused={name: reason for name, reason in reasons.items() if reason is not None},
    )


def _refusal(weight: Tensor) -> str | None:
    """Return why a weight, (out, in), cannot be converted; None if it can."""
    rows, columns = weight.shape
    if rows % ROWS or columns % COLUMNS:
        return f"has the shape ({rows}, {columns}), not multiples of ({ROWS}, {COLUMNS})"
    most = int((weight.view(rows, -1, GROUP) != 0).sum(dim=-1).max())
    return f"has {most} weights in some group of {GROUP}, more than {KEPT}" if most > KEPT else None


def missing_gpu() -> str | None:
    """Return why 2:4 kernels cannot run on this machine; None if they can."""
    if not torch.cuda.is_available():
        return "there is no CUDA GPU"
    if torch.cuda.get_device_capability() < CAPABILITY:
        name = torch.cuda.get_device_name()
        return f"{name} has no sparse tensor cores (compute capability below 8.0)"
    return None
