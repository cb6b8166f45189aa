"""The weights of a linear layer, in float64, as shrinking moves them about."""

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass
class Affine:
    """Weight, (out, in), and bias, (out,), of a linear layer in float64; a missing bias is zero."""

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, module: nn.Linear) -> "Affine":
        """Copy those of a module."""
        weight = module.weight.detach().double()  # a copy, unless the model is float64 already
        bias = (
            weight.new_zeros(len(weight)) if module.bias is None else module.bias.detach().double()
        )
        return cls(weight.clone(), bias.clone())

    @property
    def rows(self) -> Tensor:
        """Which outputs depend on the input, (out,)."""
        return self.weight.any(dim=1)

    @property
    def columns(self) -> Tensor:
        """Which inputs are read, (in,)."""
        return self.weight.any(dim=0)

    def fold(self, dead: Tensor, values: Tensor) -> None:
        """Move into the bias what constant inputs contribute: those marked in `dead`, (in,), at `values`, (in,)."""
        self.bias += self.weight[:, dead] @ values[dead]
        self.weight[:, dead] = 0

    def take_rows(self, index: Tensor) -> "Affine":
        """Return the outputs of these numbers; -1 stands for one that is always zero."""
        return Affine(_take(self.weight, index), _take(self.bias, index))

    def take_columns(self, index: Tensor) -> "Affine":
        """Return the same for inputs of these numbers."""
        return Affine(_take(self.weight.T, index).T, self.bias)


def _take(values: Tensor, index: Tensor) -> Tensor:
    taken = values[index.clamp(min=0)]
    taken[index < 0] = 0
    return taken
