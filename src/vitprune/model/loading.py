"""Image classifiers of `transformers`: loaded or built, with a head for the classes of the data."""

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from huggingface_hub.errors import StrictDataclassError
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from safetensors import SafetensorError
from torch import nn
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING,
    AutoConfig,
    AutoModelForImageClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import find_layers
from vitprune.model.classes import class_names, find_classes, keep_classes, name_classes
from vitprune.model.headless import is_headless, load_headless
from vitprune.model.imagenet import CLASSES, are_unnamed
from vitprune.model.names import resolve_pretrained
from vitprune.model.timm import MODEL_TYPE, check_installed, name_on_hub, timm_settings
from vitprune.model.trial import first_line

# what transformers and timm raise if a model cannot be built from its configuration and weights
CANNOT_BUILD = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    ArithmeticError,
    RuntimeError,
    AssertionError,
    ImportError,
    SafetensorError,
    StrictDataclassError,
)

NAFLEX = ("siglip2", "siglip2_vision_model")


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
    _check_model_type(architecture["model_type"])
    if architecture["model_type"] == MODEL_TYPE:
        check_installed(str(architecture.get("architecture")))
    _check_takes_images(architecture["model_type"], "model.architecture")
    names = class_names(labels) if labels else {}
    try:
        return net_from_config(AutoConfig.for_model(**architecture, **names))
    except CANNOT_BUILD as error:
        raise UsageError(
            f"model.architecture cannot be built: {' '.join(str(error).split())}"
        ) from error


def _check_model_type(name: object) -> None:
    """Raise `UsageError` if `transformers` has no such family; its own error lists all of them."""
    if name in CONFIG_MAPPING:
        return
    families = [kind.model_type for kind in MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING]
    close = difflib.get_close_matches(str(name), families, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise UsageError(
        f"model.architecture: transformers has no model_type {name!r}.{hint} "
        "Use for example 'vit', 'deit' or 'swin'."
    )


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
    with explaining(pretrained, option) as source:
        return _load(source, labels, pretrained)


@contextmanager
def explaining(pretrained: str, option: str) -> Iterator[str]:
    """Provide the place of a pretrained model; raise `UsageError` if it cannot be loaded."""
    source = resolve_pretrained(pretrained, option)
    try:
        yield source
    except UsageError:
        raise
    except CANNOT_BUILD as error:
        reason = first_line(error)
        of_timm = name_on_hub(pretrained)
        hint = f" Did you mean {of_timm!r}?" if of_timm else ""
        raise UsageError(
            f"{option} {pretrained!r} could not be loaded ({reason}).{hint} Valid are a folder "
            "with config.json and model.safetensors, the hub name of an image classifier (the hub "
            "must be reachable), or 'digits'."
        ) from error


def _load(source: str, labels: list[str] | None, name: str) -> PreTrainedModel:
    config = _read_config(source)
    _check_takes_images(config.model_type, repr(name))
    known = find_classes(config.id2label, labels) if labels else None
    read = read_net(source, None if known else labels)
    if not labels:
        if read.head != "loaded":
            raise ValueError("its classification head has no weights")
        return read.net
    if known and read.head == "loaded" and keep_classes(read.net, known, labels):
        _report_kept_rows(name, known, config)
        return read.net
    rank_zero_info(
        f"{name}: {_what_happens_to_the_head(config.num_labels, len(labels), read.head)}"
    )
    return read_net(source, labels).net if known else read.net


def _check_takes_images(model_type: str, name: str) -> None:
    """Raise `UsageError` if a model takes patches of images of any shape (NaFlex)."""
    if model_type in NAFLEX:
        raise UsageError(
            f"{name} is a SigLIP 2 model of the NaFlex kind, which takes lists of patches, "
            "not images of one size. Use a SigLIP 2 model of a fixed size, such as "
            "google/siglip2-base-patch16-224."
        )


def _read_config(source: str) -> PreTrainedConfig:
    settings = timm_settings(source)
    config = AutoConfig.from_pretrained(source)
    if settings and config.model_args:  # timm's own exports repeat the number of classes there
        config.model_args = {k: v for k, v in config.model_args.items() if k != "num_classes"}
    return config


@dataclass(frozen=True)
class Read:
    """A loaded model.

    Attributes:
        net: The model.
        head: `loaded`; `missing` or `resized` if it is new, with random weights, because the file
            has no head or one for another number of classes.

    """

    net: PreTrainedModel
    head: Literal["loaded", "missing", "resized"]


def _report_kept_rows(name: str, rows: list[int], config: PreTrainedConfig) -> None:
    assumed = config.num_labels == CLASSES and are_unnamed(config.id2label)
    if rows == list(range(config.num_labels)) and not assumed:
        return
    taken = "; its unnamed classes are assumed to be those of ImageNet-1k" if assumed else ""
    rank_zero_info(
        f"{name}: keeping the {len(rows)} matching rows of the {config.num_labels}-class "
        f"head{taken}."
    )


def _what_happens_to_the_head(had: int, has: int, head: str) -> str:
    if head == "loaded":
        return f"keeping the {had}-class head; its class names differ from those of the data."
    done = "adding a" if head == "missing" else f"re-initialising the {had}-class"
    return f"{done} head for {has} classes; there is no dense baseline to compare with."


def read_net(source: str, labels: list[str] | None) -> Read:
    """Load a model in float32; a missing head, or one of another size, is re-initialised.

    Missing LayerNorms keep their initial values.

    Args:
        source: Hub name or folder.
        labels: New class names; None keeps those of the model.

    Raises:
        ValueError: If any other weights are missing or of another shape.

    """
    config = _read_config(source)
    if labels:
        name_classes(config, labels)
    if is_headless(config):
        return Read(load_headless(source, config), "missing")
    net, found = AutoModelForImageClassification.from_pretrained(
        source,
        config=config,
        dtype=torch.float32,
        output_loading_info=True,
        ignore_mismatched_sizes=True,
    )
    missing = found["missing_keys"]
    mismatched = {name for name, *_ in found["mismatched_keys"]}
    heads = _heads(net)
    body = {name for name in {*missing, *mismatched} if not name.startswith(heads)}
    lost = sorted(
        name
        for name in body
        if not isinstance(net.get_submodule(name.rpartition(".")[0]), nn.LayerNorm)
    )
    if lost:
        raise ValueError(f"missing weights, or of another shape: {len(lost)}, such as {lost[0]}")
    if mismatched - body:
        return Read(net, "resized")
    return Read(net, "missing" if missing - body else "loaded")


def _heads(net: PreTrainedModel) -> tuple[str, ...]:
    """Return the prefixes of the names of parameters in a classification head."""
    body = f"{net.base_model_prefix}."
    heads = []
    for layer in find_layers(net):
        if layer.role == "classifier":
            place = body if layer.name.startswith(body) else ""
            heads.append(f"{place}{layer.name.removeprefix(place).partition('.')[0]}.")
    return tuple(heads)
