"""2:4 sparsity on GPUs: weights with at most 2 of 4 consecutive inputs, for the sparse tensor cores."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.sparse import to_sparse_semi_structured
from transformers import PreTrainedModel

from vitprune.errors import UsageError
from vitprune.export.exported import Exported
from vitprune.export.load import load_stock
from vitprune.export.verify import agreement, logits
from vitprune.model.anatomy.layers import find_layers

GROUP, KEPT = 4, 2
ROWS, COLUMNS = 32, 64  # multiples of which both of torch's kernels take, in half precision
CAPABILITY = (8, 0)  # Ampere


def write(exported: Exported) -> dict[str, Any]:
    """Convert the model if there is a GPU for it and return how its logits compare; nothing is
    written.

    The zeros are in `model.safetensors` already: `convert` makes of the loaded model what the GPU
    wants.

    Raises:
        UsageError: If no layer is 2:4 sparse.

    """
    layers, refused = find_convertible(exported.net)
    if not layers:
        name, why = next(iter(refused.items()))
        raise UsageError(
            f"--formats semi_structured: no layer is 2:4 sparse; {name} {why}. Prune with the "
            "granularity NofM(2, 4); --shrink off keeps groups of four together."
        )
    report = {"layers": layers, "dense_layers": refused}
    if missing := missing_gpu():
        return {
            **report,
            "converted": False,
            "note": f"{missing}: 2:4 was not tried, the dense weights work everywhere",
        }
    net, images = (
        load_stock(exported.folder).to("cuda", torch.bfloat16),
        exported.images.to("cuda", torch.bfloat16),
    )
    dense = logits(net, images).float()
    return {**report, "converted": True, **agreement(dense, logits(convert(net), images).float())}


def convert(net: PreTrainedModel) -> PreTrainedModel:
    """Give every layer that is 2:4 sparse a sparse weight, in place, for inference.

    Args:
        net: On a GPU of compute capability 8.0 or above, in bfloat16 or float16.

    """
    for name in find_convertible(net)[0]:
        module = net.get_submodule(name)
        sparse = to_sparse_semi_structured(module.weight.detach().contiguous())
        module.weight = nn.Parameter(sparse, requires_grad=False)
    return net


def find_convertible(net: PreTrainedModel) -> tuple[list[str], dict[str, str]]:
    """Return the names of the linear layers that can be converted, and why the others cannot."""
    found, refused = [], {}
    for layer in find_layers(net):
        if isinstance(layer.module, nn.Linear):
            if reason := _refusal(layer.weight):
                refused[layer.name] = reason
            else:
                found.append(layer.name)
    return found, refused


def _refusal(weight: Tensor) -> str | None:
    rows, columns = weight.shape
    if rows % ROWS or columns % COLUMNS:
        return f"has the shape ({rows}, {columns}), not multiples of ({ROWS}, {COLUMNS})"
    most = int((weight.view(rows, -1, GROUP) != 0).sum(dim=-1).max())
    return f"has {most} weights in some group of {GROUP}, more than {KEPT}" if most > KEPT else None


def missing_gpu() -> str | None:
    """Return why 2:4 cannot run here; None if it can."""
    if not torch.cuda.is_available():
        return "there is no CUDA GPU"
    if torch.cuda.get_device_capability() < CAPABILITY:
        return f"{torch.cuda.get_device_name()} has no sparse tensor cores (compute capability below 8.0)"
    return None
