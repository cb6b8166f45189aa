"""Single weights."""

from collections.abc import Sequence

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.granularity.granularity import Granularity, matrix_of
from vitprune.pruning.granularity.units import Part, Unit
from vitprune.pruning.granularity.views import flat


class Element(Granularity):
    """Single weights, {w_ij}: unstructured sparsity (LeCun et al. 1990; Han et al. 2015)."""

    def units(self, layers: Sequence[Layer]) -> list[Unit]:
        """(out, in) -> (out * in,), for each layer."""
        return [Unit((Part(layer, flat),), rows=matrix_of(layer, self)[0]) for layer in layers]
