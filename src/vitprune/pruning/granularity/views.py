"""Weights viewed as groups: the same memory, the leading dimensions count groups."""

from torch import Tensor


def flat(tensor: Tensor) -> Tensor:
    return tensor.view(-1)


def by_row(tensor: Tensor) -> Tensor:
    """View a weight as its outputs, (out, in, ...)."""
    return tensor


def by_column(tensor: Tensor) -> Tensor:
    """View a weight as its inputs, (in, out, ...)."""
    return tensor.transpose(0, 1)
