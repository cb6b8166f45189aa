"""Masks as bits: one byte for eight weights."""

import numpy as np
import torch
from torch import Tensor


def pack(keep: Tensor) -> Tensor:
    """Return a boolean tensor as bits, (ceil(n / 8),), uint8, on the CPU.

    Example:
        >>> pack(torch.tensor([True, False, True]))
        tensor([160], dtype=torch.uint8)

    """
    return torch.from_numpy(np.packbits(keep.cpu().numpy()))


def unpack(bits: Tensor, shape: torch.Size) -> Tensor:
    """Return the boolean tensor of this shape that was packed."""
    values = np.unpackbits(bits.numpy(), count=shape.numel())
    return torch.from_numpy(values).bool().view(shape)
