"""The affine map of a linear layer in float64, as shrinking rewrites it."""

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass
class Affine:
    """The affine map of a linear layer.

    Attributes:
        weight: (out, in), float64.
        bias: (out,), float64; zero if the layer has none.

    """

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, module: nn.Linear) -> "Affine":
        """Copy weight and bias of a module."""
        weight = module.weight.detach().double().clone()
        if module.bias is None:
            return cls(weight, weight.new_zeros(len(weight)))
        return cls(weight, module.bias.detach().double().clone())

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

        Args:
            constant: Inputs that are constant, boolean (in,).
            values: Values of the inputs, (in,).

        """
        self.bias += self.weight[:, constant] @ values[constant]
        self.weight[:, constant] = 0

    def take_rows(self, index: Tensor) -> "Affine":
        """Return the outputs at these indices; -1 stands for an output that is always zero."""
        return Affine(_take(self.weight, index), _take(self.bias, index))

    def take_columns(self, index: Tensor) -> "Affine":
        """Return the map of the inputs at these indices; -1 stands for an unused input."""
        return Affine(_take(self.weight.T, index).T, self.bias)


def _take(values: Tensor, index: Tensor) -> Tensor:
    taken = values[index.clamp(min=0)]
    taken[index < 0] = 0
    return taken
