"""Attention heads."""

from collections.abc import Sequence
from functools import partial

from vitprune.model.anatomy.layers import Layer
from vitprune.model.anatomy.records import Attention, Dimension
from vitprune.pruning.granularity.coupled import ATTENTION, Coupled, by_branch, check_inner_norms
from vitprune.pruning.granularity.grouping import Grouping, Part
from vitprune.pruning.granularity.views import head_columns, head_rows


class Head(Coupled):
    """An attention head: its rows of query, key and value and its columns of attn_out.

    At least one head is kept in each attention.

    Source: Michel et al. 2019; Voita et al. 2019.
    """

    roles = ATTENTION
    dimensions = ("heads",)

    def couple(self, layers: Sequence[Layer]) -> list[Grouping]:
        """Return (heads,) for each attention."""
        groupings = []
        branches = by_branch(layers, self, Attention)
        check_inner_norms([attention for attention, _ in branches], self, "heads")
        for attention, found in branches:
            by_row = partial(head_rows, heads=attention.heads)
            by_column = partial(head_columns, heads=attention.heads)
            parts = [
                Part.of_rows(found[rows.layer], rows, by_row)
                for rows in (attention.query, attention.key, attention.value)
            ]
            parts.append(Part(found[attention.output], by_column))
            groupings.append(self.grouping(parts, Dimension("heads", attention)))
        return groupings
