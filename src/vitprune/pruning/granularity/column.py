"""Columns of weight matrices."""

from collections.abc import Sequence

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.granularity.granularity import Granularity, by_input
from vitprune.pruning.granularity.grouping import Grouping


class Column(Granularity):
    """All weights out of one input j, {w_ij for every i}.

    Source: He et al. 2017; `dim=1` of `torch.nn.utils.prune`.
    """

    def groupings(self, layers: Sequence[Layer]) -> list[Grouping]:
        """Return (groups of a convolution, in, out, ...) for each layer."""
        return [Grouping((by_input(layer),), group_dims=2) for layer in layers]
