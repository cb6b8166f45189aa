"""Several granularities together."""

from collections.abc import Sequence

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.granularity.coupled import check_roles, layers_of
from vitprune.pruning.granularity.granularity import Granularity
from vitprune.pruning.granularity.grouping import Grouping
from vitprune.pruning.layer_listing import listing


class Combined(Granularity):
    """Several granularities in one model, such as heads, their dimensions and neurons.

    Args:
        granularities: Granularities that prune structure, each another kind of it.

    """

    def __init__(self, granularities: list[Granularity]) -> None:
        self.granularities = list(granularities)
        self.dimensions = tuple(kind for one in self.granularities for kind in one.dimensions)
        is_structured = bool(granularities) and all(one.dimensions for one in granularities)
        if not is_structured or len(self.dimensions) != len(set(self.dimensions)):
            raise UsageError(
                "Combined needs granularities that prune structure (Neuron, Head, HeadDim, "
                f"Branch, Width), each once, not {self.granularities}."
            )
        roles = {role: None for one in self.granularities for role in one.roles or ()}
        self.roles = tuple(roles)
        self.ranked_together = any(granularity.ranked_together for granularity in granularities)
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

    def __repr__(self) -> str:
        return f"Combined({self.granularities})"
