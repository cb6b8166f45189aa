"""Several granularities together."""

from collections.abc import Sequence

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.granularity.coupled import check_roles, layers_of
from vitprune.pruning.granularity.granularity import Granularity
from vitprune.pruning.granularity.units import Unit
from vitprune.pruning.layer_selection import listing


class Combined(Granularity):
    """Several granularities at once, each for the layers of its roles: heads and neurons, for
    example.

    Args:
        granularities: Their roles must not overlap.

    """

    def __init__(self, granularities: list[Granularity]) -> None:
        self.granularities = list(granularities)
        roles = [role for granularity in granularities for role in granularity.roles or ()]
        if (
            not all(granularity.roles for granularity in granularities)
            or len(roles) != len(set(roles))
            or not roles
        ):
            raise UsageError(
                "Combined needs granularities with roles of their own (Neuron, Head, HeadDim), "
                "each role once."
            )
        self.roles = tuple(roles)
        self.ranked_together = any(granularity.ranked_together for granularity in granularities)

    def check_sparsity(self, final_sparsity: float) -> None:
        """Raise `UsageError` if one of them cannot reach a sparsity."""
        for granularity in self.granularities:
            granularity.check_sparsity(final_sparsity)

    def check(self, layers: Sequence[Layer]) -> None:
        """Each of them must have something to prune."""
        for granularity in self.granularities:
            if not layers_of(granularity, layers):
                raise UsageError(
                    f"{granularity} of Combined prunes {', '.join(granularity.roles or ())}, and "
                    f"no such layer is selected:\n{listing(layers)}"
                )

    def units(self, layers: Sequence[Layer]) -> list[Unit]:
        """All units of all of them."""
        check_roles(layers, self)
        units = []
        for granularity in self.granularities:
            units += granularity.units(layers_of(granularity, layers))
        return units
