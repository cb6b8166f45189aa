"""Dimensions of attention heads."""

from collections.abc import Sequence
from functools import partial

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.granularity.coupled import ATTENTION, Coupled, by_block, heads_of
from vitprune.pruning.granularity.head import head_columns, head_rows
from vitprune.pruning.granularity.units import Unit


class HeadDim(Coupled):
    """One dimension of a head: a row of query and of key, or a row of value and a column of
    attn_out.

    Every head of a layer loses the same number of each kind; which ones is up to the head. With
    `uniform` as many query/key dimensions fall as value dimensions, in every layer. Source: Zhu et
    al. 2021; Yang et al. 2023.
    """

    roles = ATTENTION

    def couple(self, layers: Sequence[Layer]) -> list[Unit]:
        """(heads, dimensions) for query and key, and again for value and attn_out, for each block."""
        units = []
        for query, key, value, attn_out in by_block(layers, self):
            heads = heads_of(query, self)
            rows, columns = partial(head_rows, heads=heads), partial(head_columns, heads=heads)
            dims = query.shape[0] // heads
            units.append(self.unit((query, key), (rows, rows), dims, heads))
            units.append(self.unit((value, attn_out), (rows, columns), dims, heads))
        return units
