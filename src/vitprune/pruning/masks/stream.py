"""Masks of the parameters of the residual stream, of which whole channels are pruned."""

import torch
from torch import Tensor, nn

from vitprune.model.anatomy.stream import Stream
from vitprune.model.channels import KeptChannels


def kept_channels(stream: Stream) -> KeptChannels:
    """Return the kept channels that the norms of a stream have; without any, all are kept."""
    found = KeptChannels.of(stream.first_norm.module)
    device = stream.first_norm.parameter.device
    return found or KeptChannels(torch.ones(stream.channels, dtype=torch.bool, device=device))


def channel_mask(stream: Stream, parameter: nn.Parameter, kept: Tensor) -> Tensor:
    """Return the mask of a parameter of a stream, boolean, of its shape.

    Args:
        stream: The stream.
        parameter: One of its parameters.
        kept: Which channels are kept, boolean (channels,).

    """
    mask = torch.ones(parameter.shape, dtype=torch.bool, device=parameter.device)
    for entries in stream.entries:
        if entries.parameter is parameter:
            view = entries.by_channel(mask)
            view &= kept.to(mask.device).view(-1, *[1] * (view.ndim - 1))
    return mask
