"""Columns of weight matrices."""

from collections.abc import Sequence

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.granularity.granularity import Granularity, matrix_of
from vitprune.pruning.granularity.units import Part, Unit
from vitprune.pruning.granularity.views import by_column


class Column(Granularity):
    """All weights out of one input j, {w_ij for every i}: `dim=1` of `torch.nn.utils.prune` (He et al. 2017)."""

    def units(self, layers: Sequence[Layer]) -> list[Unit]:
        """(out, in, ...) -> (in, out, ...), for each layer."""
        return [Unit((Part(layer, by_column),)) for layer in layers if matrix_of(layer, self)]
