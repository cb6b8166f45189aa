"""Pruning granularity: the group of weights that is pruned as one."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.granularity.units import Unit


class Granularity(ABC):
    """A partition of weights into groups.

    The scores of the weights in a group are reduced to one, as the criterion says
    (`Criterion.reduction`). That costs a pass over them; the partition itself costs nothing, as its
    groups are views of the weights.

    Attributes:
        roles: The roles that it prunes, where it does not fit every layer.
        ranked_together: Whether its groups only make sense in one ranking over all layers.

    """

    roles: tuple[str, ...] | None = None
    ranked_together: bool = False

    @abstractmethod
    def units(self, layers: Sequence[Layer]) -> list[Unit]:
        """Partition the weights of some layers, each into one unit, or several layers together into
        one.

        Raises:
            UsageError: If it does not fit a layer, or a layer that must fall together with one of
                these is missing.

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
