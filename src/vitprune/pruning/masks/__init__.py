"""Boolean masks on weights, True = keep."""

from vitprune.pruning.masks.loading import load_from_checkpoint, load_state_dict
from vitprune.pruning.masks.masks import (
    Mask,
    Parameter,
    attach,
    copy_masks,
    is_masked,
    keep_from_broadcasts,
    original,
    read,
    remove,
    weight,
    write_weight,
)

__all__ = [
    "Mask",
    "Parameter",
    "attach",
    "copy_masks",
    "is_masked",
    "keep_from_broadcasts",
    "load_from_checkpoint",
    "load_state_dict",
    "original",
    "read",
    "remove",
    "weight",
    "write_weight",
]
