"""In what unit? Pruning granularity: the group of weights that is pruned as one."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.granularity.grouping import Grouping


class Granularity(ABC):
    """A partition of weights into groups.

    The scores of the weights of a group are reduced to one, as the criterion says
    (`Criterion.reduction`).

    Cost: one pass over the scores; the partition itself is free, as groups are views of the
    weights.

    Attributes:
        roles: The roles that it prunes; None if it fits every layer.
        ranked_together: Whether its groups need one ranking over all layers.

    """

    roles: tuple[str, ...] | None = None
    ranked_together: bool = False

    @abstractmethod
    def groupings(self, layers: Sequence[Layer]) -> list[Grouping]:
        """Partition the weights of these layers, each layer separately or several together.

        Raises:
            UsageError: If the granularity does not fit a layer, or a layer that must be pruned
                together with one of these is missing.

        """

    def check(self, layers: Sequence[Layer]) -> None:  # noqa: B027 (most have nothing to check)
        """Raise `UsageError` if the selected layers lack something that this granularity prunes."""

    def check_sparsity(self, final_sparsity: float) -> None:  # noqa: B027 (most reach any sparsity)
        """Raise `UsageError` if this granularity cannot reach a sparsity."""

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value}" for name, value in vars(self).items())
        return f"{type(self).__name__}({settings})"


def matrix_of(layer: Layer, granularity: Granularity) -> tuple[int, int]:
    """Return (out, in) of a weight, kernels counted as inputs.

    Raises:
        UsageError: If the weight has fewer than two dimensions.

    """
    shape = layer.shape
    if len(shape) < 2:
        raise UsageError(
            f"{granularity} needs a weight matrix, and the weight of {layer.name} has the shape "
            f"{tuple(shape)}. Exclude it by pruning.layers.exclude."
        )
    return shape[0], shape[1:].numel()
