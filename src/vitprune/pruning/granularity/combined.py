"""Several granularities together."""

from collections.abc import Sequence

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.granularity.coupled import check_roles, layers_of
from vitprune.pruning.granularity.granularity import Granularity
from vitprune.pruning.granularity.grouping import Grouping
from vitprune.pruning.layer_listing import listing


class Combined(Granularity):
    """Several granularities in one model, each for its own roles, such as heads and neurons.

    Args:
        granularities: Granularities whose roles do not overlap.

    """

    def __init__(self, granularities: list[Granularity]) -> None:
        self.granularities = list(granularities)
        roles = [role for granularity in granularities for role in granularity.roles or ()]
        has_roles = bool(roles) and all(granularity.roles for granularity in granularities)
        if not has_roles or len(roles) != len(set(roles)):
            raise UsageError(
                "Combined needs granularities that define roles (Neuron, Head, HeadDim, Branch), "
                f"each role once, not {self.granularities}."
            )
        self.roles = tuple(roles)
        self.ranked_together = any(granularity.ranked_together for granularity in granularities)
        self.prunes_channels = any(each.prunes_channels for each in granularities)
        self.only_blocks = any(granularity.only_blocks for granularity in granularities)

    def check_sparsity(self, final_sparsity: float) -> None:
        """Raise `UsageError` if one of the granularities cannot reach a sparsity."""
        for granularity in self.granularities:
            granularity.check_sparsity(final_sparsity)

    def check(self, layers: Sequence[Layer]) -> None:
        """Raise `UsageError` if one of the granularities has nothing to prune."""
        for granularity in self.granularities:
            if not layers_of(granularity, layers):
                raise UsageError(
                    f"{granularity} of Combined prunes {', '.join(granularity.roles or ())}, and "
                    f"no such layer is selected:\n{listing(layers)}"
                )

    def groupings(self, layers: Sequence[Layer]) -> list[Grouping]:
        """Return the groupings of all granularities."""
        check_roles(layers, self)
        return [
            grouping
            for granularity in self.granularities
            for grouping in granularity.groupings(layers_of(granularity, layers))
        ]
