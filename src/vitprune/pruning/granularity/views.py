"""Weights viewed as groups: the same memory, the leading dimensions count groups."""

from torch import Tensor

from vitprune.model.anatomy.records import Rotary


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
    return tensor.unflatten(0, (heads, -1))


def rotary_pairs(tensor: Tensor, heads: int, rotary: Rotary) -> Tensor:
    """View rows by head and pair of dimensions, (heads * dims, in) -> (heads, dims / 2, 2, in)."""
    by_head = head_rows(tensor, heads)
    if rotary == "halves":
        return by_head.unflatten(1, (2, -1)).transpose(1, 2)
    return by_head.unflatten(1, (-1, 2))


def head_columns(tensor: Tensor, heads: int) -> Tensor:
    """View columns by head, (out, heads * dims) -> (heads, dims, out)."""
    return tensor.transpose(0, 1).unflatten(0, (heads, -1))
