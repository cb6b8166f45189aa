"""Rows of weight matrices."""

from collections.abc import Sequence

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.granularity.granularity import Granularity, matrix_of
from vitprune.pruning.granularity.grouping import Grouping, Part
from vitprune.pruning.granularity.views import by_row


class Row(Granularity):
    """All weights into one output i, {w_ij for every j}. The bias is kept.

    Source: Li et al. 2017; `dim=0` of `torch.nn.utils.prune`.
    """

    def groupings(self, layers: Sequence[Layer]) -> list[Grouping]:
        """Return (out, in, ...), as it is, for each layer."""
        return [Grouping((Part(layer, by_row),)) for layer in layers if matrix_of(layer, self)]
