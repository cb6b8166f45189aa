"""Dimensions of attention heads."""

from collections.abc import Sequence
from functools import partial

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.granularity.coupled import ATTENTION, Coupled, by_block, heads_of
from vitprune.pruning.granularity.grouping import Grouping
from vitprune.pruning.granularity.views import head_columns, head_rows


class HeadDim(Coupled):
    """One dimension of a head: rows of query and key, or a row of value and a column of attn_out.

    The same number of each kind is pruned in every head of a layer, by a ranking per head. With
    `uniform` as many query/key dimensions are pruned as value dimensions, in every layer.

    Source: Zhu et al. 2021; Yang et al. 2023.
    """

    roles = ATTENTION

    def couple(self, layers: Sequence[Layer]) -> list[Grouping]:
        """Return (heads, dims) for query and key, and again for value and attn_out, by block."""
        groupings = []
        for query, key, value, attn_out in by_block(layers, self):
            heads = heads_of(query, self)
            rows = partial(head_rows, heads=heads)
            columns = partial(head_columns, heads=heads)
            dims = query.shape[0] // heads
            groupings.append(self.grouping((query, key), (rows, rows), dims, heads))
            groupings.append(self.grouping((value, attn_out), (rows, columns), dims, heads))
        return groupings
