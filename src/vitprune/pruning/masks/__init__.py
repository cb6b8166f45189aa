"""Masks: which entries of a parameter are kept, as boolean tensors (True = keep)."""

from vitprune.pruning.masks.mask import Mask
from vitprune.pruning.masks.masks import Masks

__all__ = ["Mask", "Masks"]
