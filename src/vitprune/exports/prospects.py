"""What a structured pruning run could not remove from its model, known before it is trained."""

import copy

import torch
from torch import Tensor
from transformers import PreTrainedModel

from vitprune.errors import UsageError
from vitprune.exports.analysis import analyse, kind_of, output_of
from vitprune.exports.survivors import width_of
from vitprune.model.anatomy.layers import find_structure
from vitprune.model.anatomy.records import Attention


def why_not_shrinkable(
    net: PreTrainedModel,
    images: Tensor | None = None,
    *,
    heads: bool = True,
    neurons: bool = True,
) -> str | None:
    """Return what shrinking cannot remove from a model, and why; None if it can remove all.

    One head of each attention and one neuron of each MLP in a block are removed from a copy, to try
    it.

    Args:
        net: Model in evaluation mode; it is not changed.
        images: (B, channels, height, width), to try it on; one random image by default.
        heads: Whether heads will be pruned.
        neurons: Whether neurons will be pruned.

    """
    pruned = copy.deepcopy(net)
    structure = find_structure(pruned)
    layers = {layer.name: layer for layer in structure.layers}
    has_blocks = any(branch.block is not None for branch in structure.branches)
    kinds: set[str] = set()
    with torch.no_grad():
        for branch in structure.branches:
            output = layers.get(output_of(branch))
            is_pruned = heads if isinstance(branch, Attention) else neurons
            if output is None or not is_pruned or (has_blocks and branch.block is None):
                continue
            kinds.add(kind_of(branch, pruned))
            output.weight[:, : width_of(branch, layers).size] = 0
    try:
        analysis = analyse(pruned, images)
    except UsageError as error:
        return str(error)
    left = {kind: why_not for kind, why_not in analysis.left.items() if kind in kinds}
    if not left:
        return None
    removable = "nothing" if left.keys() == kinds else ", ".join(sorted(kinds - left.keys()))
    stays = "; ".join(f"{kind} ({why_not})" for kind, why_not in left.items())
    return f"zeros will stay in these modules at export: {stays}. Smaller: {removable}."
