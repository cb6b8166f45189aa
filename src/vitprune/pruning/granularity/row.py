"""Rows of weight matrices."""

from collections.abc import Sequence

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.granularity.granularity import Granularity, matrix_of
from vitprune.pruning.granularity.units import Part, Unit
from vitprune.pruning.granularity.views import by_row


class Row(Granularity):
    """All weights into one output i, {w_ij for every j}: `dim=0` of `torch.nn.utils.prune` (Li et al. 2017). The bias stays."""

    def units(self, layers: Sequence[Layer]) -> list[Unit]:
        """(out, in, ...), as it is, for each layer."""
        return [Unit((Part(layer, by_row),)) for layer in layers if matrix_of(layer, self)]
