"""In what unit? Pruning granularity: the group of weights that is pruned as one."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial

from vitprune.model.anatomy.layers import Layer
from vitprune.model.anatomy.records import Kind
from vitprune.pruning.granularity.grouping import Grouping, Part
from vitprune.pruning.granularity.views import first_dimension, second_dimension


class Granularity(ABC):
    """A partition of weights into groups.

    The scores of the weights of a group are reduced to one, as the criterion says
    (`Criterion.reduction`).

    Cost: one pass over the scores; the partition itself is free, as groups are views of the
    weights.

    Attributes:
        roles: The roles that it prunes; None if it can prune any layer.
        dimensions: Kinds of the dimensions of the model that it makes smaller; none if it only sets
            weights to zero.
        ranked_together: Whether its groups need one ranking over all layers.
        only_blocks: Whether layers outside of the transformer blocks, such as those of a pooling
            head, are pruned only if they are named.

    """

    roles: tuple[str, ...] | None = None
    dimensions: tuple[Kind, ...] = ()
    ranked_together: bool = False
    only_blocks: bool = False

    @property
    def prunes_channels(self) -> bool:
        """Whether it prunes channels of the residual stream, in the whole model."""
        return "width" in self.dimensions

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


def by_output(layer: Layer) -> Part:
    """View a weight by its outputs, (groups of a convolution, out, in, ...)."""
    return _second_dimension(layer) if layer.is_transposed else Part(layer, first_dimension)


def by_input(layer: Layer) -> Part:
    """View a weight by its inputs, (groups of a convolution, in, out, ...)."""
    return Part(layer, first_dimension) if layer.is_transposed else _second_dimension(layer)


def _second_dimension(layer: Layer) -> Part:
    return Part(layer, partial(second_dimension, convolution_groups=layer.convolution_groups))
