"""How many weights each attention head keeps."""

from collections.abc import Iterable

import torch
from torch import Tensor

from vitprune.model.anatomy.layers import Layer

INPUT_ROLES = ("query", "key", "value")


@torch.no_grad()
def head_densities(layers: Iterable[Layer]) -> dict[int, list[float]]:
    """Return the density of each head, in [0, 1], by block.

    The weights of a head are its rows of query, key and value and its columns of the output layer.
    """
    kept: dict[int, list[Tensor]] = {}
    for layer in layers:
        if layer.block is not None and layer.heads:
            if layer.role in INPUT_ROLES:
                by_head = (layer.weight != 0).view(layer.heads, -1)
            elif layer.role == "attn_out":
                columns = (layer.weight != 0).view(len(layer.weight), layer.heads, -1)
                by_head = columns.transpose(0, 1).flatten(1)
            else:
                continue
            kept.setdefault(layer.block, []).append(by_head)
    return {
        block: torch.cat(parts, dim=1).float().mean(dim=1).tolist()
        for block, parts in sorted(kept.items())
    }
