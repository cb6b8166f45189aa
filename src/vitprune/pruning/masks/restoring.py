"""Undo what an update of masks changes."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from vitprune.pruning.masks.masks import Masks


@contextmanager
def restored(masks: Masks) -> Iterator[None]:
    """Restore masks, their parameters, and biases of their layers on exit, bit for bit.

    Cost: a copy of each of them.

    Args:
        masks: Masks that are not straight-through.

    """
    biases = [layer.bias for layer in masks.layers if layer.bias is not None]
    parameters: list[nn.Parameter] = [*(mask.parameter for mask in masks), *biases]
    values = [(each, each.detach().clone()) for each in dict.fromkeys(parameters)]
    kept = [(mask, mask.keep.clone()) for mask in masks]
    try:
        yield
    finally:
        with masks.changing():
            for mask, keep in kept:
                mask.keep.copy_(keep)
        with torch.no_grad():
            for parameter, value in values:
                parameter.copy_(value)
