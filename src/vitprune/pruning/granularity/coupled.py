"""Granularities whose groups span several layers of a branch and can be physically removed."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TypeVar

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.model.anatomy.records import Attention, Branch, Dimension, Mlp
from vitprune.pruning.granularity.granularity import Granularity
from vitprune.pruning.granularity.grouping import Grouping, Part
from vitprune.pruning.granularity.tied import TiedGroupings

ATTENTION = ("query", "key", "value", "qkv", "attn_out")
MLP = ("mlp_in", "mlp_gate", "mlp_out")

Kind = TypeVar("Kind", Attention, Mlp)


class Coupled(Granularity):
    """A granularity whose groups span the layers of one attention or MLP.

    Args:
        round_to: Divisor of the number of groups kept in every layer; must divide their number.
        loadable: Whether every layer keeps the same share of groups (the same number, if all layers
            have one width), in increments that the configuration of the model can express, so that
            plain `transformers` or timm loads the shrunk model. By default the export zero-pads
            narrower layers to the widest, which costs little with the allocation `Uniform`.

    """

    def __init__(self, round_to: int = 1, *, loadable: bool = False) -> None:
        if round_to < 1:
            raise UsageError(f"round_to must be at least 1, not {round_to}.")
        self.round_to = round_to
        self.loadable = loadable

    @abstractmethod
    def couple(self, layers: Sequence[Layer]) -> list[Grouping]:
        """Return the groupings of complete branches."""

    def groupings(self, layers: Sequence[Layer]) -> list[Grouping]:
        """Return one or two groupings for each branch."""
        groupings = self.couple(layers)
        sizes = {grouping.groups // grouping.pools for grouping in groupings}
        if self.loadable and len(sizes) > 1 and TiedGroupings(tuple(groupings)).increments == 1:
            raise UsageError(
                f"{self} prunes the same share of groups in every layer, and layers of "
                f"{', '.join(map(str, sorted(sizes)))} groups have no share in common. Set "
                "loadable to false, or select layers of one width."
            )
        return groupings

    def grouping(
        self,
        parts: Sequence[Part],
        dimension: Dimension | None,
        pools: int | None = None,
        round_to: int | None = None,
    ) -> Grouping:
        """Build the grouping of the parts of a branch.

        Args:
            parts: Weights that share the groups, viewed as (groups, ...), or (pools, groups, ...).
            dimension: See `Grouping`.
            pools: Number of pools; None if the groups are in one dimension.
            round_to: Divisor of the number of kept groups of a pool; by default `self.round_to`.

        Raises:
            UsageError: If `round_to` does not divide the groups.

        """
        grouping = Grouping(
            tuple(parts),
            group_dims=2 if pools else 1,
            pools=pools or 1,
            round_to=round_to or self.round_to,
            survivors=1,
            tie=type(self).__name__ if self.loadable else None,
            dimension=dimension,
        )
        if (groups := grouping.groups // grouping.pools) % grouping.round_to:
            raise UsageError(
                f"round_to {self.round_to} does not divide the {groups} groups of "
                f"{parts[0].layer.name}. Set it to a divisor of {groups}."
            )
        return grouping


def by_branch(
    layers: Sequence[Layer], granularity: Granularity, kind: type[Kind]
) -> list[tuple[Kind, dict[str, Layer]]]:
    """Collect the layers of each attention or MLP, by name.

    Raises:
        UsageError: If a layer belongs to no such branch, or a branch lacks one of its layers.

    """
    check_roles(layers, granularity)
    branches: dict[Kind, dict[str, Layer]] = {}
    for layer in layers:
        if not isinstance(layer.branch, kind):
            raise UsageError(
                f"{granularity} needs the {kind.__name__} that a layer belongs to, and "
                f"{layer.name} has none. Exclude it by pruning.layers.exclude."
            )
        branches.setdefault(layer.branch, {})[layer.name] = layer
    for branch, found in branches.items():
        missing = [role for name, role in branch.roles.items() if name not in found]
        if missing:
            raise UsageError(
                f"{granularity} prunes {', '.join(branch.roles.values())} together, but "
                f"{place_of(branch)} lacks {', '.join(missing)}. Select all of them, or none, with "
                "pruning.layers."
            )
    return list(branches.items())


def place_of(branch: Branch) -> str:
    """Return the place of a branch, for messages."""
    return branch.name if branch.block is None else f"block {branch.block}"


def check_inner_norms(branches: Sequence[Branch], granularity: Granularity, of: str) -> None:
    """Raise `UsageError` if a branch normalises its heads or neurons together."""
    normed = [branch for branch in branches if branch.inner_norm]
    if not normed:
        return
    within = "a granularity within one layer, such as Element or Row"
    advice = f"Use {within}, which the norm does not matter to"
    if len(normed) < len(branches):
        advice = f"Exclude '{normed[0].name}.*' by pruning.layers.exclude, or use {within}"
    every = ", as every other of its kind here" if len(normed) == len(branches) > 1 else ""
    raise UsageError(
        f"{granularity} does not support {normed[0].name}: it normalises all {of} together, so "
        f"that pruning one changes the others{every}. {advice}."
    )


def layers_of(granularity: Granularity, layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers that have one of a granularity's roles."""
    return [layer for layer in layers if layer.role in (granularity.roles or ())]


def check_roles(layers: Sequence[Layer], granularity: Granularity) -> None:
    """Raise `UsageError` if the granularity does not support a layer's role or weight."""
    for layer in layers:
        if layer.role not in (granularity.roles or ()):
            raise UsageError(
                f"{granularity} prunes {', '.join(granularity.roles or ())}; {layer.name} has the "
                f"role {layer.role}. Omit pruning.layers.roles to select the roles that it prunes."
            )
        if layer.is_transposed or layer.convolution_groups > 1:
            raise UsageError(
                f"{granularity} needs weights of shape (out, in), but the weight of {layer.name} "
                "is transposed or of a grouped convolution. Exclude it by pruning.layers.exclude."
            )
