"""Boolean masks on parameters, True = keep."""

from vitprune.pruning.masks.mask import Mask
from vitprune.pruning.masks.masks import Masks

__all__ = ["Mask", "Masks"]
