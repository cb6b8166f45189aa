"""Rectangular tiles of weight matrices."""

from collections.abc import Sequence

from torch import Tensor

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.granularity.granularity import Granularity, matrix_of
from vitprune.pruning.granularity.grouping import Grouping, Part


class Tile(Granularity):
    """Rectangles of `height` outputs by `width` inputs: block sparsity.

    Source: Gray et al. 2017.

    Args:
        height: Outputs in a tile; must divide the outputs of every layer.
        width: Inputs in a tile; must divide the inputs of every layer.

    """

    def __init__(self, height: int = 16, width: int = 16) -> None:
        if min(height, width) < 1:
            raise UsageError(f"Tile needs a positive height and width, not {height} and {width}.")
        self.height = height
        self.width = width

    def groupings(self, layers: Sequence[Layer]) -> list[Grouping]:
        """Return (out, in) -> (out / height, in / width, height, width) for each layer."""
        for layer in layers:
            outputs, inputs = matrix_of(layer, self)
            if outputs % self.height or inputs % self.width:
                raise UsageError(
                    f"{self} does not divide the {outputs} x {inputs} weights of {layer.name}. "
                    "Choose divisors, or exclude it by pruning.layers.exclude."
                )
        return [Grouping((Part(layer, self._tiles),), group_dims=2) for layer in layers]

    def _tiles(self, tensor: Tensor) -> Tensor:
        matrix = tensor.view(len(tensor), -1)
        outputs, inputs = matrix.shape
        tiles = matrix.view(outputs // self.height, self.height, inputs // self.width, self.width)
        return tiles.transpose(1, 2)
