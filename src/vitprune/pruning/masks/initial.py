"""Initial masks: entries that are zero are pruned, so that a sparse model stays sparse."""

from torch import Tensor, nn

from vitprune.model.anatomy.layers import BLOCK_ROLES, Layer
from vitprune.pruning.masks.sharding import whole


def initial_mask(layer: Layer) -> Tensor:
    """Return which entries of a weight are not zero, as a boolean tensor of its shape.

    Outside of the transformer blocks, a weight that is all zeros is taken for a new layer that is
    initialised with zeros: all of it is kept.
    """
    keep = whole(layer.weight.detach()) != 0
    if not keep.any() and layer.role not in BLOCK_ROLES:
        return ~keep
    return keep


def initial_bias_mask(layer: Layer, bias: nn.Parameter) -> Tensor:
    """Return the mask of a bias, (out,): all False if weight and bias are all zeros, else all True.

    A new layer (see `initial_mask`) keeps its bias.
    """
    is_kept = initial_mask(layer).any() | whole(bias.detach()).any()
    return is_kept.repeat(len(bias))
