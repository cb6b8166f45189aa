"""Single weights."""

from collections.abc import Sequence

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.granularity.granularity import Granularity, by_output
from vitprune.pruning.granularity.grouping import Grouping


class Element(Granularity):
    """Single weights, {w_ij}: unstructured sparsity.

    Source: LeCun et al. 1990; Han et al. 2015.
    """

    def groupings(self, layers: Sequence[Layer]) -> list[Grouping]:
        """Return (out, in) -> (out * in,) for each layer."""
        return [
            Grouping(
                (by_output(layer),), group_dims=len(layer.shape) + 1, rows=layer.matrix_shape[0]
            )
            for layer in layers
        ]
