"""The affine map of a layer in float64, which shrinking rewrites."""

from dataclasses import dataclass

from torch import Tensor

from vitprune.model.anatomy.layers import Layer
from vitprune.model.anatomy.records import Rows


@dataclass
class Affine:
    """The affine map of a linear layer, of a 1x1 convolution, or of a part of such a layer.

    Attributes:
        weight: (out, in), float64.
        bias: (out,), float64; zero if the layer has none.
        has_bias: Whether the layer has a bias, to which constants can be added.

    """

    weight: Tensor
    bias: Tensor
    has_bias: bool = True

    @classmethod
    def of(cls, layer: Layer, rows: Rows | None = None) -> "Affine":
        """Copy weight and bias of a layer, or of a part of its outputs."""
        weight = layer.weight.detach().double().flatten(1)
        has_bias = layer.bias is not None
        bias = layer.bias.detach().double() if layer.bias is not None else weight[:, 0] * 0
        if rows:
            weight, bias = rows.of(weight), rows.of(bias)
        return cls(weight.clone(), bias.clone(), has_bias)

    @property
    def rows(self) -> Tensor:
        """Outputs that depend on the input, boolean (out,)."""
        return self.weight.any(dim=1)

    @property
    def columns(self) -> Tensor:
        """Inputs that are read, boolean (in,)."""
        return self.weight.any(dim=0)

    def fold(self, constant: Tensor, values: Tensor) -> None:
        """Move the contribution of constant inputs into the bias, and set their weights to zero.

        Without a bias, only those of inputs that are zero.

        Args:
            constant: Inputs that are constant, boolean (in,).
            values: Values of the inputs, (in,).

        """
        if not self.has_bias:
            constant = constant & (values == 0)
        self.bias += self.weight[:, constant] @ values[constant]
        self.weight[:, constant] = 0

    def take_rows(self, index: Tensor) -> "Affine":
        """Return the outputs at these indices; -1 stands for an output that is always zero."""
        return Affine(_take(self.weight, index), _take(self.bias, index), self.has_bias)

    def take_columns(self, index: Tensor) -> "Affine":
        """Return the map of the inputs at these indices; -1 stands for an unused input."""
        return Affine(_take(self.weight.T, index).T, self.bias, self.has_bias)

    def times(self, factor: float) -> "Affine":
        """Return the map with all outputs multiplied by a factor."""
        return Affine(self.weight * factor, self.bias * factor, self.has_bias)


def _take(values: Tensor, index: Tensor) -> Tensor:
    taken = values[index.clamp(min=0)]
    taken[index < 0] = 0
    return taken
