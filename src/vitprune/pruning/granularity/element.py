"""Single weights."""

from collections.abc import Sequence

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.granularity.granularity import Granularity, matrix_of
from vitprune.pruning.granularity.grouping import Grouping, Part
from vitprune.pruning.granularity.views import flat


class Element(Granularity):
    """Single weights, {w_ij}: unstructured sparsity.

    Source: LeCun et al. 1990; Han et al. 2015.
    """

    def groupings(self, layers: Sequence[Layer]) -> list[Grouping]:
        """Return (out, in) -> (out * in,) for each layer."""
        return [Grouping((Part(layer, flat),), rows=matrix_of(layer, self)[0]) for layer in layers]
