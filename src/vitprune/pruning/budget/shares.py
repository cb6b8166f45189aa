"""The shares of a model's dimensions that are kept."""

from collections.abc import Sequence

from vitprune.model.anatomy.records import Dimension
from vitprune.pruning.granularity.granularity import Granularity
from vitprune.pruning.granularity.tied import TiedGroupings
from vitprune.pruning.masks import Masks


def kept_shares(tied: Sequence[TiedGroupings], counts: Sequence[int]) -> dict[Dimension, float]:
    """Return the kept share of each dimension, in [0, 1].

    Args:
        tied: What is pruned.
        counts: Number of pruned increments of each.

    """
    return {
        grouping.dimension: 1 - count / one.increments
        for one, count in zip(tied, counts, strict=True)
        for grouping in one.groupings
        if grouping.dimension
    }


def shares_in(masks: Masks, granularity: Granularity) -> dict[Dimension, float]:
    """Return the kept share of each dimension according to the masks, in [0, 1]."""
    shares = {}
    for grouping in granularity.groupings(masks.layers):
        if grouping.dimension:
            kept = grouping.kept(masks).view(grouping.pools, -1).sum(1)
            shares[grouping.dimension] = int(kept.max()) * grouping.pools / grouping.groups
    return shares
