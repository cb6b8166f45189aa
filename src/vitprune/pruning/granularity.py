"""In what unit: the weights that are kept or dropped together."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor

from vitprune.errors import UsageError
from vitprune.model.layers import Layer
from vitprune.pruning.units import Part, Unit


class Granularity(ABC):
    """A partition of weights into groups.

    The scores of the weights in a group are reduced to one, as the criterion says (`Criterion.reduction`). That costs a pass
    over them; the partition itself costs nothing, as its groups are views of the weights.

    Attributes:
        roles: The roles that it prunes, where it does not fit every layer.
        ranked_together: Whether its groups only make sense in one ranking over all layers.

    """

    roles: tuple[str, ...] | None = None
    ranked_together: bool = False

    @abstractmethod
    def units(self, layers: Sequence[Layer]) -> list[Unit]:
        """Partition the weights of some layers, each into one unit, or several layers together into one.

        Raises:
            UsageError: If it does not fit a layer, or a layer that must fall together with one of these is missing.

        """

    def check(self, layers: Sequence[Layer]) -> None:  # noqa: B027 (most have nothing to check)
        """Raise `UsageError` if something that it should prune is not among all the layers that are selected."""

    def check_sparsity(self, final_sparsity: float) -> None:  # noqa: B027 (most have nothing to check)
        """Raise `UsageError` if this granularity cannot reach a sparsity."""

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value}" for name, value in vars(self).items())
        return f"{type(self).__name__}({settings})"


def matrix_of(layer: Layer, granularity: Granularity) -> tuple[int, int]:
    """Return (out, in) of a weight, kernels counted as inputs.

    Raises:
        UsageError: If it has fewer than two dimensions.

    """
    shape = layer.shape
    if len(shape) < 2:
        raise UsageError(f"{granularity} needs a weight matrix, and {layer.name} has none.")
    return shape[0], shape[1:].numel()


class Element(Granularity):
    """Single weights, {w_ij}: unstructured sparsity (LeCun et al. 1990; Han et al. 2015)."""

    def units(self, layers: Sequence[Layer]) -> list[Unit]:
        """(out, in) -> (out * in,), for each layer."""
        return [Unit((Part(layer, _flat),), rows=matrix_of(layer, self)[0]) for layer in layers]


class Row(Granularity):
    """All weights into one output i, {w_ij for every j}: `dim=0` of `torch.nn.utils.prune` (Li et al. 2017). The bias stays."""

    def units(self, layers: Sequence[Layer]) -> list[Unit]:
        """(out, in, ...), as it is, for each layer."""
        return [Unit((Part(layer, by_row),)) for layer in layers if matrix_of(layer, self)]


class Column(Granularity):
    """All weights out of one input j, {w_ij for every i}: `dim=1` of `torch.nn.utils.prune` (He et al. 2017)."""

    def units(self, layers: Sequence[Layer]) -> list[Unit]:
        """(out, in, ...) -> (in, out, ...), for each layer."""
        return [Unit((Part(layer, by_column),)) for layer in layers if matrix_of(layer, self)]


class Tile(Granularity):
    """Rectangles of `height` outputs by `width` inputs: block sparsity (Gray et al. 2017).

    Args:
        height: Outputs in a tile; must divide the outputs of every layer.
        width: Inputs in a tile; must divide the inputs of every layer.

    """

    def __init__(self, height: int = 16, width: int = 16) -> None:
        if min(height, width) < 1:
            raise UsageError(f"Tile needs a positive height and width, not {height} and {width}.")
        self.height, self.width = height, width

    def units(self, layers: Sequence[Layer]) -> list[Unit]:
        """(out, in) -> (out / height, in / width, height, width), for each layer."""
        for layer in layers:
            outputs, inputs = matrix_of(layer, self)
            if outputs % self.height or inputs % self.width:
                raise UsageError(f"{self} does not divide the {outputs} x {inputs} weights of {layer.name}.")
        return [Unit((Part(layer, self._tiles),), group_dims=2) for layer in layers]

    def _tiles(self, tensor: Tensor) -> Tensor:
        matrix = tensor.view(len(tensor), -1)
        tiles = matrix.view(len(matrix) // self.height, self.height, matrix.shape[1] // self.width, self.width)
        return tiles.transpose(1, 2)


class NofM(Granularity):
    """Single weights, such that of every m consecutive inputs n are kept: 2:4 runs on sparse tensor cores.

    At the final sparsity of 1 - n/m the pattern is complete in every group (Mishra et al. 2021); in the rounds before, the
    weights that have fallen are some of those that will. So the scheduled sparsity is met exactly in every round.

    Args:
        n: Weights that are KEPT of each m, in [1, m).
        m: Consecutive inputs of a group; must divide the inputs of every layer.

    """

    def __init__(self, n: int = 2, m: int = 4) -> None:
        if not 1 <= n < m:
            raise UsageError(f"NofM keeps n of m with 1 <= n < m, not {n} of {m}.")
        self.n, self.m = n, m

    def units(self, layers: Sequence[Layer]) -> list[Unit]:
        """(out, in) -> (out * in,), for each layer."""
        for layer in layers:
            inputs = matrix_of(layer, self)[1]
            if inputs % self.m:
                raise UsageError(f"{self} does not divide the {inputs} inputs of {layer.name}; exclude it.")
        return [Unit((Part(layer, _flat),), pattern=(self.n, self.m)) for layer in layers]

    def check_sparsity(self, final_sparsity: float) -> None:
        """Accept the one that the pattern fixes."""
        if abs(final_sparsity - (1 - self.n / self.m)) > 1e-9:
            raise UsageError(f"{self} fixes the final sparsity at {1 - self.n / self.m:g}, not {final_sparsity:g}.")


def _flat(tensor: Tensor) -> Tensor:
    return tensor.view(-1)


def by_row(tensor: Tensor) -> Tensor:
    """View a weight as its outputs, (out, in, ...)."""
    return tensor


def by_column(tensor: Tensor) -> Tensor:
    """View a weight as its inputs, (in, out, ...)."""
    return tensor.transpose(0, 1)
