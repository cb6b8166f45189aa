"""Tensors that are spread over ranks (FSDP2), and what is whole on each."""

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor


def whole(tensor: Tensor) -> Tensor:
    """Gather a tensor that is sharded, on every rank; return any other as it is."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def place(value: Tensor, like: Tensor) -> Tensor:
    """Put a whole tensor where another one is: on its device, and sharded as it is."""
    value = value.to(like.device)
    return (
        distribute_tensor(value, like.device_mesh, like.placements)
        if isinstance(like, DTensor)
        else value
    )


@torch.no_grad()
def snapshot(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copy some tensors to the CPU, whole."""
    return {name: whole(value.detach()).cpu().clone() for name, value in tensors.items()}


@torch.no_grad()
def restore(tensors: dict[str, Tensor], values: dict[str, Tensor]) -> None:
    """Copy a snapshot back, in place."""
    for name, tensor in tensors.items():
        tensor.copy_(place(values[name], tensor))


def reshard(model: nn.Module) -> None:
    """Give up gathered parameters: after a forward pass alone the outermost are still copies, and writes would be lost."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()
