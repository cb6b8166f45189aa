"""How many weights each attention head keeps."""

from collections.abc import Iterable

import torch

from vitprune.model.anatomy.layers import Layer
from vitprune.model.anatomy.records import Attention
from vitprune.pruning.granularity.views import head_columns, head_rows


@torch.no_grad()
def head_densities(layers: Iterable[Layer]) -> dict[int, list[float]]:
    """Return the density of each head, in [0, 1], by block.

    The weights of a head are its rows of query, key and value and its columns of the output layer.
    If a block has several attentions, their heads are concatenated.

    Args:
        layers: All layers of a model.

    """
    attentions: dict[Attention, dict[str, Layer]] = {}
    for layer in layers:
        if isinstance(layer.branch, Attention) and layer.block is not None:
            attentions.setdefault(layer.branch, {})[layer.name] = layer
    densities: dict[int, list[float]] = {}
    for attention, found in attentions.items():
        if attention.block is not None and found.keys() == attention.roles.keys():
            densities.setdefault(attention.block, []).extend(_densities(attention, found))
    return dict(sorted(densities.items()))


def _densities(attention: Attention, layers: dict[str, Layer]) -> list[float]:
    """Return the density of each head of an attention."""
    parts = [
        head_rows(rows.of(layers[rows.layer].weight != 0), attention.heads)
        for rows in (attention.query, attention.key, attention.value)
    ]
    parts.append(head_columns(layers[attention.output].weight != 0, attention.heads))
    kept = torch.cat([part.flatten(1) for part in parts], dim=1)
    return kept.float().mean(dim=1).tolist()
