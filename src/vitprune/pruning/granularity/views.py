"""Weights viewed as groups: the same memory, the leading dimensions count groups."""

from torch import Tensor


def first_dimension(tensor: Tensor) -> Tensor:
    """View a weight by its first dimension, (1, first, second, ...)."""
    return tensor.unsqueeze(0)


def second_dimension(tensor: Tensor, convolution_groups: int) -> Tensor:
    """View a weight by its second dimension, (groups * first, ...) -> (groups, second, first, ...).

    Each group of a grouped convolution has its own indices of the second dimension.
    """
    return tensor.unflatten(0, (convolution_groups, -1)).transpose(1, 2)


def by_row(tensor: Tensor) -> Tensor:
    """View a weight as its outputs, (out, in, ...)."""
    return tensor


def by_column(tensor: Tensor) -> Tensor:
    """View a weight as its inputs, (in, out, ...)."""
    return tensor.transpose(0, 1)


def as_one_group(tensor: Tensor) -> Tensor:
    """View a weight as a single group, (1, out, in)."""
    return tensor.unsqueeze(0)


def head_rows(tensor: Tensor, heads: int) -> Tensor:
    """View rows by head, (heads * dims, in) -> (heads, dims, in)."""
    return tensor.view(heads, -1, tensor.shape[1])


def head_columns(tensor: Tensor, heads: int) -> Tensor:
    """View columns by head, (out, heads * dims) -> (heads, dims, out)."""
    return tensor.view(len(tensor), heads, -1).permute(1, 2, 0)
