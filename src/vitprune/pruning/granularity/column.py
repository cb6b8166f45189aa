"""Columns of weight matrices."""

from collections.abc import Sequence

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.granularity.granularity import Granularity, matrix_of
from vitprune.pruning.granularity.grouping import Grouping, Part
from vitprune.pruning.granularity.views import by_column


class Column(Granularity):
    """All weights out of one input j, {w_ij for every i}.

    Source: He et al. 2017; `dim=1` of `torch.nn.utils.prune`.
    """

    def groupings(self, layers: Sequence[Layer]) -> list[Grouping]:
        """Return (out, in, ...) -> (in, out, ...) for each layer."""
        return [Grouping((Part(layer, by_column),)) for layer in layers if matrix_of(layer, self)]
