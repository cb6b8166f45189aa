"""The layers that a sensitivity scan prunes together, and where they are in the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning import Granularity
from vitprune.pruning.granularity.coupled import ATTENTION, MLP

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
        role=_role_of({layer.role for layer in layers}),
    )


def _role_of(roles: set[str]) -> str:
    if len(roles) == 1:
        return next(iter(roles))
    if roles <= set(ATTENTION):
        return "attention"
    return "mlp" if roles <= set(MLP) else "all"


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
    groups: dict[str, list[Layer]] = {}
    for grouping in granularity.groupings(layers):
        place = place_of(grouping.layers)
        alone = len(grouping.layers) == 1
        names = {
            "layer": grouping.layers[0].name if alone else f"{place.block} {place.role}",
            "block": place.block,
            "role": place.role,
        }
        groups.setdefault(names[by], []).extend(grouping.layers)
    return groups
