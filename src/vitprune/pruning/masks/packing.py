"""Masks as bits: one byte for eight weights."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from vitprune.model.channels import restore_channels


def pack(keep: Tensor) -> Tensor:
    """Return the n entries of a boolean tensor as bits, (ceil(n / 8),), uint8, on the CPU.

    Examples:
        >>> pack(torch.tensor([True, False, True]))
        tensor([160], dtype=torch.uint8)

    """
    return torch.from_numpy(np.packbits(keep.cpu().numpy()))


def unpack(bits: Tensor, shape: torch.Size) -> Tensor:
    """Return the boolean tensor that `pack` was given, of this shape, on the CPU."""
    values = np.unpackbits(bits.numpy(), count=shape.numel())
    return torch.from_numpy(values).bool().view(shape)


def apply_packed(model: nn.Module, packed: Mapping[str, Tensor]) -> None:
    """Set the pruned entries of a model to zero that was loaded from a checkpoint.

    They are zero already, unless other code has changed them after the last optimizer step. Norms
    normalise over the kept channels of the residual stream from then on.

    Args:
        model: The model.
        packed: Masks as bits (see `pack`), by name of the parameter.

    """
    for name, bits in packed.items():
        value = model.get_parameter(name).detach()
        value.masked_fill_(~unpack(bits, value.shape), 0.0)
    restore_channels(model, packed)
