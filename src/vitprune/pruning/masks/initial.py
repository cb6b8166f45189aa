"""Masks before the first round: what is zero is pruned, so that a sparse model stays sparse."""

from torch import Tensor, nn

from vitprune.model.anatomy.layers import BLOCK_ROLES, Layer
from vitprune.pruning.masks.sharding import whole


def initial_mask(layer: Layer) -> Tensor:
    """Return which entries of a weight are not zero.

    A weight that is zero as a whole outside of the transformer blocks is a new layer, and is kept.
    """
    keep = whole(layer.weight.detach()) != 0
    if not keep.any() and layer.role not in BLOCK_ROLES:
        return ~keep
    return keep


def initial_bias_mask(layer: Layer, bias: nn.Parameter) -> Tensor:
    """Return a mask that prunes a bias if all of it and all of the layer's weight are zero."""
    is_kept = initial_mask(layer).any() | whole(bias.detach()).any()
    return is_kept.repeat(len(bias))
