"""Image classifiers of `transformers`: loaded or built, with a head for the classes of the data."""

from dataclasses import dataclass
from typing import Any

import torch
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

from vitprune.errors import UsageError
from vitprune.model.classes import class_names, find_classes, keep_classes
from vitprune.model.names import resolve_pretrained


def build_net(
    pretrained: str | None, architecture: dict[str, Any] | None, labels: list[str] | None
) -> PreTrainedModel:
    """Load a pretrained ViT, or build one with random weights, with a head for these labels.

    A pretrained model that has all labels among its class names keeps these rows of its head.
    Otherwise a head with the same number of classes is kept, and any other head is re-initialised.

    Raises:
        UsageError: If the model cannot be loaded or built, or not exactly one of `pretrained` and
            `architecture` is given.

    """
    if (pretrained is None) == (architecture is None):
        raise UsageError(
            "set either model.pretrained (a hub name, a folder or 'digits') or model.architecture."
        )
    if pretrained is not None:
        return load_net(pretrained, labels)
    assert architecture is not None
    if "model_type" not in architecture:
        raise UsageError("model.architecture needs a model_type, for example 'vit' or 'deit'.")
    names = class_names(labels) if labels else {}
    try:
        return net_from_config(AutoConfig.for_model(**architecture, **names))
    except (ValueError, TypeError, KeyError, StrictDataclassError) as error:
        raise UsageError(
            f"model.architecture cannot be built: {' '.join(str(error).split())}"
        ) from error


def net_from_config(config: PreTrainedConfig) -> PreTrainedModel:
    """Build an image classifier with random weights.

    The class is the one that the configuration names, or else the first one of its family.
    """
    if not config.architectures:
        family = MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING[type(config)]
        config.architectures = [(family[0] if isinstance(family, tuple) else family).__name__]
    return AutoModelForImageClassification.from_config(config)


def load_net(
    pretrained: str, labels: list[str] | None = None, option: str = "model.pretrained"
) -> PreTrainedModel:
    """Load a pretrained image classifier in float32; see `build_net`.

    Args:
        pretrained: Hub name or folder, or `digits`.
        labels: Class names of the data; None keeps the head as it is.
        option: Option that names the model, for errors.

    Raises:
        UsageError: If there is no such model, or weights other than its head are missing.

    """
    source = resolve_pretrained(pretrained, option)
    try:
        return _load(source, labels, pretrained)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(
            f"{option} {pretrained!r} could not be loaded ({reason}). Valid are a folder with "
            "config.json and model.safetensors, the hub name of an image classifier (the hub must "
            "be reachable), or 'digits'."
        ) from error


def _load(source: str, labels: list[str] | None, name: str) -> PreTrainedModel:
    config = AutoConfig.from_pretrained(source)
    known = find_classes(config.id2label, labels) if labels else None
    read = _read(source, class_names(labels) if labels and not known else {})
    if not labels:
        if read.has_new_head:
            raise ValueError("its classification head has no weights")
        return read.net
    if known and not read.has_new_head and keep_classes(read.net, known, labels):
        if known != list(range(config.num_labels)):
            rank_zero_info(
                f"{name}: keeping the {len(labels)} matching rows of the {config.num_labels}-class "
                "head."
            )
        return read.net
    rank_zero_info(f"{name}: {_what_happens_to_the_head(config.num_labels, len(labels), read)}")
    return _read(source, class_names(labels)).net if known else read.net


@dataclass(frozen=True)
class _Read:
    """A loaded model, and whether its head is new, with random weights."""

    net: PreTrainedModel
    has_new_head: bool


def _what_happens_to_the_head(had: int, has: int, read: _Read) -> str:
    if had == has and not read.has_new_head:
        return f"keeping the {had}-class head; its class names differ from those of the data."
    return (
        f"re-initialising the {had}-class head for {has} classes; there is no dense baseline to "
        "compare with."
    )


def _read(source: str, names: dict[str, Any]) -> _Read:
    """Load a model in float32; a missing head, or one of another size, is re-initialised.

    Missing LayerNorms keep their initial values.

    Raises:
        ValueError: If any other weights are missing or of another shape.

    """
    net, found = AutoModelForImageClassification.from_pretrained(
        source, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True, **names
    )
    new = {*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])}
    body = {name for name in new if name.startswith(f"{net.base_model_prefix}.")}
    lost = sorted(
        name
        for name in body
        if not isinstance(net.get_submodule(name.rpartition(".")[0]), nn.LayerNorm)
    )
    if lost:
        raise ValueError(f"missing weights, or of another shape: {len(lost)}, such as {lost[0]}")
    return _Read(net, has_new_head=bool(new - body))
