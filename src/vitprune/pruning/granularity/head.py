"""Attention heads."""

from collections.abc import Sequence
from functools import partial

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.granularity.coupled import ATTENTION, Coupled, by_block, heads_of
from vitprune.pruning.granularity.grouping import Grouping
from vitprune.pruning.granularity.views import head_columns, head_rows


class Head(Coupled):
    """An attention head: its rows of query, key and value and its columns of attn_out.

    At least one head is kept in each block.

    Source: Michel et al. 2019; Voita et al. 2019.
    """

    roles = ATTENTION

    def couple(self, layers: Sequence[Layer]) -> list[Grouping]:
        """Return (heads,) for each block."""
        groupings = []
        for attention in by_block(layers, self):
            heads = heads_of(attention[0], self)
            rows = partial(head_rows, heads=heads)
            columns = partial(head_columns, heads=heads)
            groupings.append(self.grouping(attention, (rows, rows, rows, columns), heads))
        return groupings
