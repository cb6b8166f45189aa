"""Fewer channels of the residual stream in all tensors of a model."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from vitprune.model.anatomy.stream import Entries, Stream
from vitprune.model.channels import KeptChannels, detach

SIZES = ("in_features", "out_features", "in_channels", "out_channels", "embedding_dim")


@torch.no_grad()
def keep_channels(stream: Stream, kept: Tensor) -> None:
    """Remove all other channels from the parameters of a model, in place.

    Norms normalise over all channels of their new size.

    Args:
        stream: The residual stream of the model.
        kept: Numbers of the channels to keep.

    """
    for entries in stream.entries:
        old = entries.parameter
        by_time = old.detach().unflatten(entries.dim, (entries.repeats, -1))
        value = by_time.index_select(entries.dim + 1, kept.to(old.device))
        value = value.flatten(entries.dim, entries.dim + 1).contiguous()
        parameter = nn.Parameter(value, requires_grad=old.requires_grad)
        setattr(entries.module, entries.attribute, parameter)
        _set_size(entries, value)
    for norm in stream.norms.values():
        detach(norm)


def _set_size(entries: Entries, value: Tensor) -> None:
    """Set the attributes of a module of torch that hold the size of a parameter."""
    module: Any = entries.module
    if hasattr(module, "normalized_shape"):
        module.normalized_shape = type(module.normalized_shape)(value.shape)
    elif isinstance(module, nn.Embedding):
        module.embedding_dim = value.shape[1]
    elif isinstance(module, nn.Linear) and value.ndim > 1:
        module.out_features, module.in_features = value.shape
    elif isinstance(module, nn.Conv2d) and value.ndim > 1:
        module.out_channels, module.in_channels = value.shape[:2]


@contextmanager
def only_channels(stream: Stream, kept: Tensor) -> Iterator[None]:
    """Remove all other channels within the context; see `keep_channels`."""
    before = [(entries, entries.parameter) for entries in stream.entries]
    modules = {entries.module for entries in stream.entries}
    sizes = [
        (module, name, getattr(module, name))
        for module in modules
        for name in (*SIZES, "normalized_shape")
        if hasattr(module, name)
    ]
    channels = KeptChannels.of(stream.first_norm.module)
    try:
        keep_channels(stream, kept)
        yield
    finally:
        for entries, parameter in before:
            setattr(entries.module, entries.attribute, parameter)
        for module, name, size in sizes:
            setattr(module, name, size)
        if channels is not None:
            channels.attach(stream.norms.values())
