"""Removing pruned channels of the residual stream from all tensors of a model."""

import copy

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from vitprune.model.anatomy.layers import find_structure
from vitprune.model.anatomy.stream import Entries, Stream
from vitprune.model.channels import KeptChannels, detach
from vitprune.model.loading import net_from_config


def pruned_channels(net: nn.Module) -> Tensor | None:
    """Return the numbers of the kept channels if the norms of a model leave others out."""
    stream = find_structure(net).stream
    channels = None if stream.obstacle else KeptChannels.of(stream.first_norm.module)
    if channels is None or channels.keep.all():
        return None
    return channels.keep.nonzero().squeeze(1)


def without_pruned_channels(net: PreTrainedModel) -> PreTrainedModel:
    """Return the same model with the kept channels only; `net` itself if none is pruned."""
    kept = pruned_channels(net)
    if kept is None:
        return net
    small = copy.deepcopy(net)
    keep_channels(small, find_structure(small).stream, kept)
    return small


@torch.no_grad()
def keep_channels(net: nn.Module, stream: Stream, kept: Tensor) -> None:
    """Remove all other channels from the parameters of a model, in place.

    Args:
        net: The model.
        stream: Its residual stream.
        kept: Numbers of the channels to keep.

    """
    for entries in stream.entries:
        old = entries.parameter
        by_time = old.detach().unflatten(entries.dim, (entries.repeats, -1))
        value = by_time.index_select(entries.dim + 1, kept.to(old.device))
        value = value.flatten(entries.dim, entries.dim + 1).contiguous()
        setattr(
            entries.module,
            entries.attribute,
            nn.Parameter(value, requires_grad=old.requires_grad),
        )
        _set_size(entries, value)
    for norm in stream.norms.values():
        detach(norm)


def _set_size(entries: Entries, value: Tensor) -> None:
    """Set the attributes of a module of torch that hold the size of a parameter."""
    module = entries.module
    if isinstance(module, nn.Embedding):
        module.embedding_dim = value.shape[1]
    elif hasattr(module, "normalized_shape"):
        module.normalized_shape = type(module.normalized_shape)(value.shape)
    elif value.ndim > 1 and isinstance(module, nn.Linear):
        module.out_features, module.in_features = value.shape
    elif value.ndim > 1 and isinstance(module, nn.Conv2d):
        module.out_channels, module.in_channels = value.shape[:2]


def fit_stream(built: PreTrainedModel, net: nn.Module) -> PreTrainedModel:
    """Give a newly built model as many channels as another one has, in place; return it."""
    stream, wanted = find_structure(built).stream, find_structure(net).stream
    if stream.obstacle is None and stream.channels > wanted.channels:
        device = stream.first_norm.parameter.device
        keep_channels(built, stream, torch.arange(wanted.channels, device=device))
    return built


def is_plain(net: PreTrainedModel) -> bool:
    """Return whether the configuration of a model names its number of channels."""
    with torch.device("meta"):
        built = net_from_config(copy.deepcopy(net.config))
    return find_structure(built).stream.channels == find_structure(net).stream.channels
