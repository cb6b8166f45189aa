"""Granularities whose groups span several layers of a block and can be physically removed."""

from abc import abstractmethod
from collections.abc import Callable, Sequence

from torch import Tensor

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.granularity.granularity import Granularity
from vitprune.pruning.granularity.grouping import Grouping, Part

ATTENTION = ("query", "key", "value", "attn_out")
MLP = ("mlp_in", "mlp_out")


class Coupled(Granularity):
    """A granularity whose groups span layers of one block.

    Args:
        round_to: Divisor of the number of groups kept in every layer; must divide their number.
        uniform: Whether every layer keeps the same number of groups, so that `transformers` loads
            the shrunk model.

    """

    def __init__(self, round_to: int = 1, *, uniform: bool = False) -> None:
        if round_to < 1:
            raise UsageError(f"round_to must be at least 1, not {round_to}.")
        self.round_to = round_to
        self.uniform = uniform

    @abstractmethod
    def couple(self, layers: Sequence[Layer]) -> list[Grouping]:
        """Return the groupings of complete blocks."""

    def groupings(self, layers: Sequence[Layer]) -> list[Grouping]:
        """Return one or two groupings for each block."""
        groupings = self.couple(layers)
        sizes = {grouping.groups // grouping.pools for grouping in groupings}
        if self.uniform and len(sizes) > 1:
            raise UsageError(
                f"{self} needs the same number of groups in every layer, and the layers have "
                f"{sorted(sizes)}. Set uniform to false, or select layers of one width."
            )
        return groupings

    def grouping(
        self,
        layers: Sequence[Layer],
        views: Sequence[Callable[[Tensor], Tensor]],
        groups: int,
        pools: int | None = None,
    ) -> Grouping:
        """Build the grouping of some layers.

        Args:
            layers: Layers that share the groups.
            views: View of each layer's weight, (groups, ...), or (pools, groups, ...).
            groups: Number of groups, of each pool if there are pools.
            pools: Number of pools; None if the groups are in one dimension.

        Raises:
            UsageError: If `round_to` does not divide the groups.

        """
        if groups % self.round_to:
            raise UsageError(
                f"round_to {self.round_to} does not divide the {groups} groups of {layers[0].name}."
            )
        return Grouping(
            tuple(Part(layer, view) for layer, view in zip(layers, views, strict=True)),
            group_dims=2 if pools else 1,
            pools=pools or 1,
            round_to=self.round_to,
            survivors=1,
            tie=type(self).__name__ if self.uniform else None,
        )


def by_block(layers: Sequence[Layer], granularity: Granularity) -> list[list[Layer]]:
    """Collect the layers of each block in the order of the granularity's roles.

    Raises:
        UsageError: If a layer has another role, or a block lacks one of the roles.

    """
    check_roles(layers, granularity)
    roles = granularity.roles or ()
    blocks: dict[int | None, dict[str, Layer]] = {}
    for layer in layers:
        other = blocks.setdefault(layer.block, {}).setdefault(layer.role, layer)
        if other is not layer:
            raise UsageError(
                f"{granularity} needs one {layer.role} in each block, and here are {other.name} "
                f"and {layer.name}. Exclude one by pruning.layers.exclude."
            )
    for block, found in blocks.items():
        missing = [role for role in roles if role not in found]
        if missing:
            raise UsageError(
                f"{granularity} prunes {', '.join(roles)} together, but block {block} lacks "
                f"{', '.join(missing)}. Select all of them, or none, with pruning.layers."
            )
    return [[found[role] for role in roles] for found in blocks.values()]


def layers_of(granularity: Granularity, layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers that have one of a granularity's roles."""
    return [layer for layer in layers if layer.role in (granularity.roles or ())]


def check_roles(layers: Sequence[Layer], granularity: Granularity) -> None:
    """Raise `UsageError` if a layer has a role or a weight that the granularity does not prune."""
    for layer in layers:
        if layer.role not in (granularity.roles or ()):
            raise UsageError(
                f"{granularity} prunes {', '.join(granularity.roles or ())}; {layer.name} has the "
                f"role {layer.role}. Omit pruning.layers.roles to select the roles that it prunes."
            )
        if layer.is_transposed or layer.convolution_groups > 1:
            raise UsageError(
                f"{granularity} needs weights of shape (out, in), and that of {layer.name} is "
                "transposed or of a grouped convolution. Exclude it by pruning.layers.exclude."
            )


def heads_of(layer: Layer, granularity: Granularity) -> int:
    """Return the number of heads that a query, key or value layer computes.

    Raises:
        UsageError: If the model does not say, or they do not divide its outputs.

    """
    if layer.heads is None or layer.shape[0] % layer.heads:
        raise UsageError(
            f"{granularity} needs attention heads, and {layer.name} has none that divide its "
            f"{layer.shape[0]} outputs. Exclude it by pruning.layers.exclude."
        )
    return layer.heads
