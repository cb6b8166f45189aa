"""The transformer itself: loaded or built, for these labels, for images of this size."""

import copy
import math
from typing import Any

import torch
import torch.nn.functional as F
from huggingface_hub.errors import StrictDataclassError
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from safetensors import SafetensorError
from torch import nn
from transformers import (
    MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING,
    AutoConfig,
    AutoModelForImageClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from vitprune.assets import resolve_pretrained
from vitprune.errors import UsageError
from vitprune.model.anatomy.blocks import vision_config
from vitprune.model.classes import class_names, find_classes, keep_classes


def build_net(
    pretrained: str | None, architecture: dict[str, Any] | None, labels: list[str] | None
) -> PreTrainedModel:
    """Load a pretrained ViT, or build one with random weights, with a classifier for these labels.

    A pretrained model that knows all of these labels by name keeps their rows of its classifier.
    Else a classifier of as many classes stays as it is, and another one gives way to a new one,
    with random weights.

    Raises:
        UsageError: If there is no such model, or not exactly one of `pretrained` and `architecture`
            is given.

    """
    if (pretrained is None) == (architecture is None):
        raise UsageError(
            "give either model.pretrained (a hub name, a folder or 'digits') or model.architecture."
        )
    names = class_names(labels) if labels else {}
    if pretrained is not None:
        return _load(pretrained, labels, names)
    assert architecture is not None
    if "model_type" not in architecture:
        raise UsageError("model.architecture needs a model_type, for example 'vit' or 'deit'.")
    try:
        return net_from_config(AutoConfig.for_model(**architecture, **names))
    except (ValueError, TypeError, KeyError, StrictDataclassError) as error:
        raise UsageError(
            f"model.architecture cannot be built: {' '.join(str(error).split())}"
        ) from error


def _load(
    pretrained: str,
    labels: list[str] | None,
    names: dict[str, Any],
    option: str = "model.pretrained",
) -> PreTrainedModel:
    source = resolve_pretrained(pretrained, option)
    try:
        config = AutoConfig.from_pretrained(source)
        classes = find_classes(config.id2label, labels) if labels else None
        net, lost = _read(source, {} if classes else names)
        if lost and not labels:
            raise ValueError("its classifier has no weights")
        if labels and classes and not lost and keep_classes(net, classes, labels):
            if classes != list(range(config.num_labels)):
                rank_zero_info(
                    f"{pretrained} knows the {len(labels)} classes of the data among "
                    f"{config.num_labels}: they stay."
                )
        elif labels:
            stays = config.num_labels == len(labels) and not lost
            fate = (
                "its classifier stays"
                if stays
                else "new classifier, untrained, so there is no dense model to match"
            )
            rank_zero_info(
                f"{pretrained} has {config.num_labels} classes of other names, the data "
                f"{len(labels)}: {fate}."
            )
            net = _read(source, names)[0] if classes else net
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(
            f"{option} {pretrained!r} could not be loaded ({reason}): it is no folder with "
            "config.json and all of model.safetensors, and the hub has no such image classifier or "
            "cannot be reached."
        ) from error
    return net


def _read(source: str, names: dict[str, Any]) -> tuple[PreTrainedModel, bool]:
    """Load a model in float32, with a classifier of these names; return it, and whether that is
    new, with random weights.

    So is a classifier of another size. Norms that are missing begin as they do.

    Raises:
        ValueError: If any other weights are missing or of another shape.

    """
    net, found = AutoModelForImageClassification.from_pretrained(
        source, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True, **names
    )
    fresh = {*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])}
    body = {name for name in fresh if name.startswith(f"{net.base_model_prefix}.")}
    lost = sorted(
        name
        for name in body
        if not isinstance(net.get_submodule(name.rpartition(".")[0]), nn.LayerNorm)
    )
    if lost:
        raise ValueError(
            f"{len(lost)} of its weights are missing or of another shape, {lost[0]} for one"
        )
    return net, bool(fresh - body)


def build_reference(
    pretrained: str, net: PreTrainedModel, option: str = "model.pretrained"
) -> PreTrainedModel:
    """Load a pretrained model to hold another against: for its images, and for its classes where it
    knows them by name.

    Args:
        pretrained: Hub name or folder, or `digits`.
        net: The other one.
        option: Where the name comes from, for errors.

    Raises:
        UsageError: If there is no such model, or it cannot see images of that size.

    """
    reference, labels = _load(pretrained, None, {}, option), list(net.config.id2label.values())
    if classes := find_classes(reference.config.id2label, labels):
        keep_classes(reference, classes, labels)
    return for_images_of(reference, getattr(vision_config(net.config), "image_size", None))


def net_from_config(config: PreTrainedConfig) -> PreTrainedModel:
    """Build an image classifier with random weights: the architecture that the config names, or its family's first."""
    if not config.architectures:
        family = MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING[type(config)]
        config.architectures = [(family[0] if isinstance(family, tuple) else family).__name__]
    return AutoModelForImageClassification.from_config(config)


def for_images_of(net: PreTrainedModel, image_size: Any) -> PreTrainedModel:
    """Return a model for images of this size: itself if they are of its own, if it sees any, or if the size is None."""
    own = getattr(vision_config(net.config), "image_size", image_size)
    return net if image_size in (None, own) else resize(net, image_size)


def resize(net: PreTrainedModel, image_size: int) -> PreTrainedModel:
    """Build the same model for images of another size, its position embeddings interpolated
    (Dosovitskiy et al. 2020, 3.2).

    Args:
        net: A ViT for square images, with one position embedding for each patch and one for each
            special token.
        image_size: Side of the new images, in pixels; a multiple of the patch size.

    Raises:
        UsageError: If patches do not fit into that size.

    """
    patch = getattr(vision_config(net.config), "patch_size", None)
    if not isinstance(patch, int):
        raise UsageError(
            f"data.image_size: a {net.config.model_type} is no ViT with square patches, whose size "
            "could change."
        )
    if image_size <= 0 or image_size % patch:
        raise UsageError(
            f"data.image_size must be a multiple of the model's patch size {patch}, not "
            f"{image_size}."
        )
    config = copy.deepcopy(net.config)
    vision_config(config).image_size = image_size
    resized, state = net_from_config(config), net.state_dict()
    name = next((key for key in state if key.endswith("position_embeddings")), None)
    if name is None:
        raise UsageError(
            f"data.image_size: a {config.model_type} has no position embeddings of its patches to "
            "interpolate."
        )
    side = image_size // patch
    special = resized.state_dict()[name].shape[1] - side**2
    tokens, patches = (
        state[name][:, :special],
        state[name][:, special:],
    )  # (1, special, D), (1, patches, D)
    old = math.isqrt(patches.shape[1])
    grid = patches.reshape(1, old, old, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=(side, side), mode="bicubic", align_corners=False)
    state[name] = torch.cat([tokens, grid.flatten(2).transpose(1, 2)], dim=1)
    resized.load_state_dict(state)
    return resized
