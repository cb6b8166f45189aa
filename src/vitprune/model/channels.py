"""Norms over the kept channels of the residual stream, while the others are zero.

A LayerNorm over K of D channels is that of the model whose tensors have only these K channels. It
is computed by the module's own forward. The other channels get the mean of the kept ones, which
changes neither mean nor sum of squares about it, and all are scaled by c = sqrt(D / K), so that the
variance over D equals that over K. The output is divided by c again, before the bias is added.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vitprune.model.anatomy.layers import find_structure
from vitprune.model.anatomy.stream import is_rms


class KeptChannels:
    """Hooks of norms that normalise over the kept channels; with all of them, nothing changes.

    The hooks read `keep` in every call, so that a compiled model follows what is written to it.
    They are no part of the state of a module, but of its copies.

    Args:
        keep: Which channels are kept, boolean (channels,).

    """

    def __init__(self, keep: Tensor) -> None:
        self.keep = keep

    @classmethod
    def of(cls, norm: nn.Module) -> "KeptChannels | None":
        """Return the hooks of a norm; None if it has none."""
        hooks = norm._forward_pre_hooks.values()  # noqa: SLF001 (no public access)
        owners = (getattr(hook, "__self__", None) for hook in hooks)
        return next((owner for owner in owners if isinstance(owner, cls)), None)

    def attach(self, norms: Iterable[nn.Module]) -> None:
        """Let norms normalise over these channels from now on, and no longer over others."""
        for norm in norms:
            detach(norm)
            norm.register_forward_pre_hook(self.before)
            norm.register_forward_hook(self.after, prepend=True)  # before a bias is sharded again
        _forget_compiled()

    def write(self, keep: Tensor) -> None:
        """Change which channels are kept, in place."""
        self.keep = self.keep.to(keep.device)
        self.keep.copy_(keep)

    def before(self, norm: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Fill and scale the input, (..., channels)."""
        given, *others = inputs
        values = _at_least_single(given)
        keep = self.keep.to(given.device)
        filling = torch.zeros_like(values[..., :1])
        if not is_rms(norm):
            filling = (values * keep).sum(-1, keepdim=True) / keep.sum()
        filled = torch.where(keep, values, filling) / self._shrinkage(values)
        return filled.to(given.dtype), *others

    def after(self, norm: nn.Module, _: tuple[Any, ...], output: Tensor) -> Tensor:
        """Undo the scale of the output, (..., channels), but for its bias."""
        values = _at_least_single(output)
        scale = self._shrinkage(values)
        values = values * scale
        bias = getattr(norm, "bias", None)
        if isinstance(bias, Tensor):
            values = values + bias * (1 - scale)
        return values.to(output.dtype)

    def _shrinkage(self, values: Tensor) -> Tensor:
        """Return sqrt(K / D), (), in the type and on the device of some values."""
        count = self.keep.sum().to(values.device, values.dtype)
        return (count / len(self.keep)).sqrt()


def follow(copy: nn.Module, source: nn.Module) -> None:
    """Let the norms of a copy of a module normalise over the same channels as those of the module.

    Args:
        copy: Module with submodules of the same names.
        source: The module.

    """
    for name, norm in source.named_modules():
        channels = KeptChannels.of(norm)
        if channels is not None and KeptChannels.of(copy.get_submodule(name)) is not channels:
            channels.attach([copy.get_submodule(name)])


def restore_channels(model: nn.Module, packed: Mapping[str, Tensor]) -> None:
    """Let norms normalise over the channels that the masks in a checkpoint keep.

    Nothing happens if it has no masks of channels.

    Args:
        model: The model.
        packed: Masks as bits, (ceil(n / 8),), uint8, by name of the parameter.

    """
    for stream in find_structure(model).streams:
        if stream.obstacle is None and (bits := packed.get(stream.first_norm.name)) is not None:
            keep = np.unpackbits(bits.numpy(), count=stream.channels).astype(bool)
            device = stream.first_norm.parameter.device
            KeptChannels(torch.from_numpy(keep).to(device)).attach(stream.norms.values())


def detach(norm: nn.Module) -> None:
    """Remove the hooks of a norm, which then normalises over all channels."""
    for hooks in (norm._forward_pre_hooks, norm._forward_hooks):  # noqa: SLF001
        for key, hook in list(hooks.items()):
            if isinstance(getattr(hook, "__self__", None), KeptChannels):
                del hooks[key]
                _forget_compiled()


def _forget_compiled() -> None:
    """Let torch compile again, as it does not notice that hooks come and go."""
    if "torch._dynamo" in sys.modules:  # slow to import
        torch.compiler.reset()


def _at_least_single(values: Tensor) -> Tensor:
    """Return values in float32 if they are in half precision, in which means are inexact."""
    return values.float() if values.element_size() < 4 else values
