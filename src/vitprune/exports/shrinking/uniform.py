"""The same model at other widths: every attention and every MLP keeps the same share."""

from collections.abc import Mapping

import torch
from transformers import PreTrainedModel

from vitprune.errors import UsageError
from vitprune.exports.nets import copy_net
from vitprune.exports.shrinking.shrink import shrink_both
from vitprune.model.anatomy.records import Kind
from vitprune.pruning.budget.latency_table import Structure
from vitprune.pruning.granularity.combined import Combined
from vitprune.pruning.granularity.granularity import Granularity
from vitprune.pruning.granularity.grouping import Grouping
from vitprune.pruning.granularity.head import Head
from vitprune.pruning.granularity.head_dim import HeadDim
from vitprune.pruning.granularity.neuron import Neuron
from vitprune.pruning.granularity.width import Width
from vitprune.pruning.layer_selection import LayerSelection
from vitprune.pruning.method import Method

GRANULARITIES: dict[Structure, type[Granularity]] = {
    "heads": Head,
    "head_dims": HeadDim,
    "neurons": Neuron,
    "width": Width,
}


def cut_uniformly(net: PreTrainedModel, shares: Mapping[Structure, float]) -> PreTrainedModel:
    """Return a copy of a model in which all branches are equally narrow, to be timed.

    Args:
        net: The model; it is not changed.
        shares: Kept share of each kind of structure, in [0, 1]; of the width above 0.

    Raises:
        UsageError: If the structure cannot be removed.

    """
    less = {kind: share for kind, share in shares.items() if share < 1}
    if not less:
        return net
    cut = copy_net(net)
    granularity = Combined([GRANULARITIES[kind]() for kind in less])
    layers = LayerSelection().select(cut, granularity.roles)
    masks = Method(granularity=granularity).masks(layers)
    kinds = {kind: share for one in less for kind, share in _kinds(one, less[one])}
    with masks.changing():
        for grouping in granularity.groupings(layers):
            assert grouping.dimension
            keep = _first_groups(grouping, kinds[grouping.dimension.kind])
            grouping.write(masks, keep, "prune")
    smaller = shrink_both(cut)
    if smaller.left:
        reasons = "; ".join(f"{kind}: {why_not}" for kind, why_not in smaller.left.items())
        raise UsageError(
            f"{' and '.join(less)} of this model cannot be removed ({reasons}). Choose other "
            "structure."
        )
    return smaller.ragged


def _kinds(structure: Structure, share: float) -> list[tuple[Kind, float]]:
    """Return the dimensions that a structure stands for, and their share."""
    if structure == "head_dims":
        return [("query_key", share), ("value", share)]
    return [(structure, share)]


def _first_groups(grouping: Grouping, share: float) -> torch.Tensor:
    """Return whether each group is among the first of its pool that make up a share."""
    in_pool = grouping.groups // grouping.pools
    return torch.arange(grouping.groups) % in_pool < round(share * in_pool)


def levels_of(net: PreTrainedModel, structure: Structure, shares: tuple[float, ...]) -> list[float]:
    """Return the shares nearest to the given ones that whole groups of every layer can have."""
    granularity = GRANULARITIES[structure]()
    groupings = granularity.groupings(LayerSelection().select(net, granularity.roles))
    fewest = min(grouping.groups // grouping.pools for grouping in groupings)
    return sorted({round(share * fewest) / fewest for share in shares})
