"""Models for images of another size: interpolated position embeddings."""

import copy
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel

from vitprune.errors import UsageError
from vitprune.model.anatomy.config import vision_config
from vitprune.model.loading import net_from_config


def for_images_of(net: PreTrainedModel, image_size: Any) -> PreTrainedModel:
    """Return a model for images of this size.

    The model itself if that is its own size, if it accepts any size, or if the size is None.
    """
    own = getattr(vision_config(net.config), "image_size", image_size)
    return net if image_size in (None, own) else resize(net, image_size)


def resize(net: PreTrainedModel, image_size: int) -> PreTrainedModel:
    """Build the same model for another image size; interpolate its position embeddings.

    Source: Dosovitskiy et al. 2020, section 3.2.

    Args:
        net: A ViT for square images, with one position embedding for each patch and one for each
            special token.
        image_size: Side of the new images, in pixels; a multiple of the patch size.

    Raises:
        UsageError: If the model has no such embeddings, or patches do not fit into that size.

    """
    patch = _patch_size(net, image_size)
    config = copy.deepcopy(net.config)
    vision_config(config).image_size = image_size
    resized = net_from_config(config)
    state = net.state_dict()
    name = next((key for key in state if key.endswith("position_embeddings")), None)
    if name is None:
        raise UsageError(
            f"data.image_size cannot be changed: a {config.model_type} model has no position "
            "embeddings of its patches to interpolate."
        )
    side = image_size // patch
    special = resized.state_dict()[name].shape[1] - side**2
    state[name] = _interpolate(state[name], special, side)
    resized.load_state_dict(state)
    return resized


def _patch_size(net: PreTrainedModel, image_size: int) -> int:
    patch = getattr(vision_config(net.config), "patch_size", None)
    if not isinstance(patch, int):
        raise UsageError(
            f"data.image_size cannot be changed: a {net.config.model_type} model is not a ViT with "
            "square patches."
        )
    if image_size <= 0 or image_size % patch:
        raise UsageError(
            f"data.image_size must be a multiple of the model's patch size {patch}, not "
            f"{image_size}."
        )
    return patch


def _interpolate(embeddings: Tensor, special: int, side: int) -> Tensor:
    """Return (1, special + side^2, D) from (1, special + old^2, D): the special tokens as is."""
    tokens = embeddings[:, :special]
    patches = embeddings[:, special:]
    old = math.isqrt(patches.shape[1])
    grid = patches.reshape(1, old, old, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=(side, side), mode="bicubic", align_corners=False)
    return torch.cat([tokens, grid.flatten(2).transpose(1, 2)], dim=1)
