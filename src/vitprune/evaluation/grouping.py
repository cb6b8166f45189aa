"""The layers that a sensitivity scan prunes together, and where they are in the model."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from vitprune.model.anatomy.layers import Layer
from vitprune.model.anatomy.records import Attention, Branch, Mlp
from vitprune.pruning import Granularity

By = Literal["layer", "block", "role"]
BY: tuple[By, ...] = get_args(By)
OUTSIDE = "outside of the blocks"


@dataclass(frozen=True)
class Place:
    """Where layers are, in words.

    Attributes:
        block: `block N`, or `OUTSIDE`.
        role: Role of a single layer; `attention`, `mlp` or `all` of several.

    """

    block: str
    role: str

    @property
    def is_outside(self) -> bool:
        """Whether it is outside of the transformer blocks."""
        return self.block == OUTSIDE


def place_of(layers: Sequence[Layer]) -> Place:
    """Return where layers that are pruned as one group are."""
    block = layers[0].block
    return Place(
        block=OUTSIDE if block is None else f"block {block}",
        role=_role_of(layers),
    )


def _role_of(layers: Sequence[Layer]) -> str:
    roles = {layer.role for layer in layers}
    return next(iter(roles)) if len(roles) == 1 else _kind_of(layers)


def _kind_of(layers: Sequence[Layer]) -> str:
    kinds = {type(layer.branch) for layer in layers}
    if kinds == {Attention}:
        return "attention"
    return "mlp" if kinds == {Mlp} else "all"


def group_layers(
    layers: Sequence[Layer], by: By, granularity: Granularity
) -> dict[str, list[Layer]]:
    """Return the layers that are pruned together, by the name of their group.

    Args:
        layers: Layers to prune.
        by: Whether a group is a layer, a block or a role.
        granularity: Layers that it prunes as one group, those of attention or of an MLP, count as
            one layer and as one role.

    """
    several = _several_in_block(layers)
    groups: dict[str, dict[str, Layer]] = {}
    for grouping in granularity.groupings(layers):
        first = grouping.layers[0]
        if grouping.companions:
            groups["residual stream"] = {layer.name: layer for layer in grouping.layers}
            continue
        place = place_of(grouping.layers)
        is_coupled = len(grouping.parts) > 1
        name = f"{place.block} {_kind_of(grouping.layers)}" if is_coupled else first.name
        if is_coupled and first.branch in several:
            name = first.branch.name
        names = {
            "layer": name,
            "block": place.block,
            "role": _kind_of(grouping.layers) if is_coupled else place.role,
        }
        members = {layer.name: layer for layer in grouping.layers}
        groups.setdefault(names[by], {}).update(members)
    return {name: list(members.values()) for name, members in groups.items()}


def _several_in_block(layers: Sequence[Layer]) -> set[Branch]:
    """Return the attentions and MLPs that are not the only one of their kind in their block."""
    branches = {layer.branch for layer in layers if layer.branch is not None}
    number = Counter((type(branch), branch.block) for branch in branches)
    return {branch for branch in branches if number[type(branch), branch.block] > 1}
