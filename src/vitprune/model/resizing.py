"""Models for images of another size: position embeddings are interpolated where needed."""

import copy
import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from vitprune.errors import UsageError
from vitprune.model.anatomy.config import image_shape, vision_config
from vitprune.model.loading import net_from_config
from vitprune.model.trial import CANNOT_RUN, first_line, why_refused

TIMM = "timm_wrapper"


def for_images_of(net: PreTrainedModel, image_size: int | None) -> PreTrainedModel:
    """Return a model for square images of this size: the model itself if it can process them.

    Args:
        net: Any image classifier.
        image_size: Side of the images, in pixels; None keeps the model as it is.

    Raises:
        UsageError: See `resize`.

    """
    if image_size is None:
        return net
    if image_size < 1:
        raise UsageError(f"data.image_size must be positive, not {image_size}.")
    reason = why_refused(net, image_size, image_size)
    return net if reason is None else resize(net, image_size, reason)


def resize(net: PreTrainedModel, image_size: int, reason: str) -> PreTrainedModel:
    """Build the same model for another image size; interpolate its position embeddings.

    Position embeddings and relative position biases of another shape are interpolated; those of
    special tokens stay as they are.

    Source: Dosovitskiy et al. 2020, section 3.2.

    Args:
        net: An image classifier for square images.
        image_size: Side of the new images, in pixels.
        reason: Why the model itself cannot process them.

    Raises:
        UsageError: If patches do not fit into that size, or the model cannot be built for it.

    """
    patch = getattr(vision_config(net.config), "patch_size", None)
    if isinstance(patch, int) and image_size % patch:
        raise UsageError(
            f"data.image_size must be a multiple of the model's patch size {patch}, not "
            f"{image_size}."
        )
    config = _config_for(net.config, image_size)
    if config is None:
        raise _cannot_resize(net.config, image_size, reason)
    try:
        resized = net_from_config(config)
    except TypeError as error:  # an architecture of timm without a size
        raise _cannot_resize(net.config, image_size, reason) from error
    except CANNOT_RUN as error:
        raise _cannot_resize(net.config, image_size, first_line(error)) from error
    try:
        resized.load_state_dict(_state_for(resized, net.state_dict()))
    except CANNOT_RUN as error:
        raise _cannot_resize(net.config, image_size, first_line(error)) from error
    if (why_not := why_refused(resized, image_size, image_size)) is not None:
        raise _cannot_resize(net.config, image_size, why_not)
    rank_zero_info(
        f"Adapting the model to images of {image_size}x{image_size} pixels: its position "
        "embeddings are interpolated."
    )
    return resized


def _config_for(config: PreTrainedConfig, image_size: int) -> PreTrainedConfig | None:
    """Return a configuration for another image size; None if it states no size."""
    changed = copy.deepcopy(config)
    if config.model_type == TIMM:
        changed.model_args = {**(config.model_args or {}), "img_size": image_size}
        if of_timm := getattr(config, "pretrained_cfg", None):
            shape = [image_shape(config)[0], image_size, image_size]
            changed.pretrained_cfg = {**of_timm, "input_size": shape}
        return changed
    vision = vision_config(changed)
    own = getattr(vision, "image_size", None)
    if own is None:
        return None
    vision.image_size = [image_size, image_size] if isinstance(own, list | tuple) else image_size
    return changed


def _cannot_resize(config: PreTrainedConfig, image_size: int, reason: str) -> UsageError:
    family = config.architecture if config.model_type == TIMM else config.model_type
    try:
        _, height, width = image_shape(config)
        advice = f"{height}, the model's own" if height == width else "another size"
    except UsageError:
        advice = "another size"
    return UsageError(
        f"a {family} model cannot process images of {image_size}x{image_size} pixels ({reason}). "
        f"Set data.image_size to {advice}."
    )


def _state_for(resized: PreTrainedModel, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a model of another image size, interpolated where shapes differ."""
    antialias = resized.config.model_type == TIMM
    parameters = dict(resized.named_parameters(remove_duplicate=False))
    state = {}
    for name, new in resized.state_dict().items():
        if weights[name].shape == new.shape:
            state[name] = weights[name]
        elif name in parameters:
            state[name] = _interpolate(name, weights[name], new.shape, antialias=antialias)
        else:
            state[name] = new  # an index of positions
    return state


def _interpolate(name: str, table: Tensor, shape: torch.Size, *, antialias: bool) -> Tensor:
    """Return a table of positions on a square grid, ([1,] positions, D), for another grid.

    Args:
        name: Name of the parameter, for errors.
        table: Values for special tokens, then for the positions of the grid row by row. In a table
            of relative positions, ([2 side - 1]^2 + 3, heads), the three of the class token are
            last.
        shape: Shape of the other table.
        antialias: Whether to filter before a reduction, as timm does.

    Raises:
        ValueError: If no square grids explain both shapes.

    """
    old, new = table.shape[-2], shape[-2]
    special = next(
        (
            count
            for count in range(min(old, new))
            if math.isqrt(old - count) ** 2 == old - count
            and math.isqrt(new - count) ** 2 == new - count
        ),
        None,
    )
    if special is None or table.ndim > 3 or table[..., :1, :].shape != (*shape[:-2], 1, shape[-1]):
        raise ValueError(
            f"{name} of shape {tuple(table.shape)} cannot be interpolated to {tuple(shape)}"
        )
    is_relative = table.ndim == 2 and special == 3
    if is_relative:
        positions, others = table[:-special], table[-special:]
    else:
        others, positions = table.split([special, old - special], dim=-2)
    was, side = math.isqrt(old - special), math.isqrt(new - special)
    grid = positions.reshape(1, was, was, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(
        grid, size=(side, side), mode="bicubic", align_corners=False, antialias=antialias
    )
    positions = grid.flatten(2).transpose(1, 2).reshape(*shape[:-2], -1, shape[-1])
    return torch.cat([positions, others] if is_relative else [others, positions], dim=-2)
