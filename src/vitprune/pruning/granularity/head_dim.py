"""Dimensions of attention heads."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Literal

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.model.anatomy.records import Attention, Dimension
from vitprune.pruning.granularity.coupled import ATTENTION, Coupled, by_branch, check_inner_norms
from vitprune.pruning.granularity.grouping import Grouping, Part
from vitprune.pruning.granularity.views import head_columns, head_rows, rotary_pairs


class HeadDim(Coupled):
    """One dimension of a head: rows of query and key, or a row of value and a column of attn_out.

    The same number of each kind is pruned in every head of a layer, by a ranking per head. With
    `loadable` the same number of query/key and of value dimensions is pruned in every layer. Rotary
    embeddings rotate pairs of query/key dimensions, which are pruned together.

    Source: Zhu et al. 2021; Yang et al. 2023.
    """

    roles = ATTENTION
    dimensions = ("query_key", "value")

    def couple(self, layers: Sequence[Layer]) -> list[Grouping]:
        """Return (heads, dims) for query and key, and again for value and attn_out, by attention.

        With rotary embeddings, the shape is (heads, dims / 2) for query and key.
        """
        groupings = []
        branches = by_branch(layers, self, Attention)
        check_inner_norms([attention for attention, _ in branches], self, "heads")
        for attention, found in branches:
            if attention.normed_scores:
                raise UsageError(
                    f"{self} does not support {attention.name}: it normalises queries and keys, so "
                    "that pruning one dimension changes the others. Use Head, or exclude it by "
                    "pruning.layers.exclude."
                )
            heads = attention.heads
            by_row = partial(head_rows, heads=heads)
            by_column = partial(head_columns, heads=heads)
            groupings.append(self._scores(attention, found))
            value = Part.of_rows(found[attention.value.layer], attention.value, by_row)
            output = Part(found[attention.output], by_column)
            groupings.append(self.grouping([value, output], _dimension("value", attention), heads))
        return groupings

    def _scores(self, attention: Attention, found: dict[str, Layer]) -> Grouping:
        """Return the grouping of query and key, whose product is the attention scores."""
        heads = attention.heads
        view = partial(head_rows, heads=heads)
        round_to = self.round_to
        if attention.rotary is not None:
            view = partial(rotary_pairs, heads=heads, rotary=attention.rotary)
            round_to = math.lcm(round_to, 2) // 2  # pairs
        parts = [
            Part.of_rows(found[rows.layer], rows, view) for rows in (attention.query, attention.key)
        ]
        return self.grouping(parts, _dimension("query_key", attention), heads, round_to)


def _dimension(kind: Literal["query_key", "value"], attention: Attention) -> Dimension | None:
    """Return the dimension that shrinks; none with rotary embeddings, which need whole heads."""
    return None if attention.rotary else Dimension(kind, attention)
