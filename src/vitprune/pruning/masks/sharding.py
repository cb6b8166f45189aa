"""Tensors that are sharded over ranks (FSDP2), and whole ones."""

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor


def whole(tensor: Tensor) -> Tensor:
    """Gather a sharded tensor on every rank; return any other as it is."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local(tensor: Tensor) -> Tensor:
    """Return this rank's part of a sharded tensor, in the same memory; any other as it is."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def place(value: Tensor, like: Tensor) -> Tensor:
    """Move a whole tensor to the device of another one, and shard it in the same way."""
    value = value.to(like.device)
    if isinstance(like, DTensor):
        return distribute_tensor(value, like.device_mesh, like.placements)
    return value


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
    """Free gathered parameters.

    After a forward pass without a backward pass the outermost parameters are gathered copies, and
    what is written to them would be lost.
    """
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()
