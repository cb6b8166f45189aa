"""Rows of weight matrices."""

from collections.abc import Sequence

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.granularity.granularity import Granularity, by_output
from vitprune.pruning.granularity.grouping import Grouping


class Row(Granularity):
    """All weights into one output i, {w_ij for every j}. The bias is kept.

    Source: Li et al. 2017; `dim=0` of `torch.nn.utils.prune`.
    """

    def groupings(self, layers: Sequence[Layer]) -> list[Grouping]:
        """Return (groups of a convolution, out, in, ...) for each layer."""
        return [Grouping((by_output(layer),), group_dims=2) for layer in layers]
