"""Rectangular tiles of weight matrices."""

from collections.abc import Callable, Sequence

from torch import Tensor

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.granularity.granularity import Granularity
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
            outputs, inputs = layer.matrix_shape
            if layer.is_transposed and len(layer.shape) > 2:
                raise UsageError(
                    f"{self} does not support transposed convolutions such as {layer.name}. "
                    "Exclude it by pruning.layers.exclude."
                )
            if outputs % self.height or inputs % self.width:
                raise UsageError(
                    f"{self} does not divide the {outputs} x {inputs} weights of {layer.name}. "
                    "Choose divisors, or exclude it by pruning.layers.exclude."
                )
        return [Grouping((Part(layer, self._view(layer)),), group_dims=2) for layer in layers]

    def _view(self, layer: Layer) -> Callable[[Tensor], Tensor]:
        return self._tiles_of_transpose if layer.is_transposed else self._tiles

    def _tiles(self, tensor: Tensor) -> Tensor:
        tiles = tensor.flatten(1).unflatten(1, (-1, self.width)).unflatten(0, (-1, self.height))
        return tiles.transpose(1, 2)

    def _tiles_of_transpose(self, tensor: Tensor) -> Tensor:
        return self._tiles(tensor.T)
