"""Attention heads."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.granularity.coupled import ATTENTION, Coupled, by_block, heads_of
from vitprune.pruning.granularity.units import Unit


class Head(Coupled):
    """An attention head: its rows of query, key and value and its columns of attn_out. One at least
    survives in each block.

    Source: Michel et al. 2019; Voita et al. 2019.
    """

    roles = ATTENTION

    def couple(self, layers: Sequence[Layer]) -> list[Unit]:
        """(heads,) for each block."""
        units = []
        for four in by_block(layers, self):
            heads = heads_of(four[0], self)
            rows, columns = partial(head_rows, heads=heads), partial(head_columns, heads=heads)
            units.append(self.unit(four, (rows, rows, rows, columns), heads))
        return units


def head_rows(tensor: Tensor, heads: int) -> Tensor:
    return tensor.view(heads, -1, tensor.shape[1])  # (heads * dims, in) -> (heads, dims, in)


def head_columns(tensor: Tensor, heads: int) -> Tensor:
    return tensor.view(len(tensor), heads, -1).permute(
        1, 2, 0
    )  # (out, heads * dims) -> (heads, dims, out)
