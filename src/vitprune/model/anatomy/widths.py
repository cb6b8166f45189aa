"""How configurations name the widths of transformer blocks, and the number of blocks."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the granularities need torch alone
    from transformers import PreTrainedConfig

Settings = dict[str, int | float | None]  # by name; None restores the default


@dataclass(frozen=True)
class WidthNames:
    """The settings of a family's configuration that name widths; None where there is none.

    Attributes:
        heads: Number of attention heads of every block.
        head_dim: Dimensions of a head.
        neurons: Number of neurons of every MLP.
        ratio: Instead, neurons per channel of the residual stream.
        ratio_is_integer: Whether `ratio` must be an integer.
        blocks: Number of blocks.
        channels: Number of channels of the residual stream.
        group: Part of the configuration that holds the settings; the whole one by default.

    """

    heads: str | None = None
    head_dim: str | None = None
    neurons: str | None = None
    ratio: str | None = None
    ratio_is_integer: bool = False
    blocks: str | None = None
    channels: str | None = None
    group: str | None = None


_VIT = WidthNames(
    heads="num_attention_heads",
    head_dim="head_dim",
    neurons="intermediate_size",
    blocks="num_hidden_layers",
    channels="hidden_size",
)
_DINOV2 = replace(_VIT, neurons=None, ratio="mlp_ratio", ratio_is_integer=True)
_PLAIN = replace(_VIT, heads=None, head_dim=None)
_TOWER = replace(_PLAIN, group="vision_config")
_SWIN = WidthNames(ratio="mlp_ratio")
FAMILIES = {
    **dict.fromkeys(("vit", "deit", "vit_msn", "ijepa", "beit"), _VIT),
    **dict.fromkeys(("dinov2", "dinov2_with_registers"), _DINOV2),
    **dict.fromkeys(("clip", "metaclip_2", "siglip", "siglip2"), _TOWER),
    **dict.fromkeys(("data2vec-vision", "dinov3_vit"), _PLAIN),
    **dict.fromkeys(("swin", "swinv2", "donut-swin"), _SWIN),
    "timm_wrapper": WidthNames(
        ratio="mlp_ratio", blocks="depth", channels="embed_dim", group="model_args"
    ),
}


def increment_of_neurons(config: object, neurons: int) -> int:
    """Return the number whose multiples a configuration can express as the width of MLPs.

    Args:
        config: Configuration of any kind.
        neurons: Current width of an MLP.

    """
    family = FAMILIES.get(getattr(config, "model_type", ""))
    if family is None or family.ratio is None or not family.ratio_is_integer:
        return 1
    ratio: int = getattr(config, family.ratio)
    return neurons // ratio if neurons % ratio == 0 else 1


def read_settings(config: "PreTrainedConfig", names: Iterable[str]) -> Settings:
    """Return the values of the settings with these names that a configuration has."""
    group = _group(config)
    return {name: group.get(name) for name in names}


def changed_settings(config: "PreTrainedConfig", original: "PreTrainedConfig") -> Settings:
    """Return the settings that another configuration has otherwise, with its values."""
    family = FAMILIES.get(config.model_type)
    if family is None:
        return {}
    inner = [family.heads, family.head_dim, family.neurons, family.ratio]
    names = [name for name in (*inner, family.blocks, family.channels) if name is not None]
    now, before = read_settings(config, names), read_settings(original, names)
    return {name: before[name] for name in names if before[name] != now[name]}


def with_settings(config: "PreTrainedConfig", settings: Settings) -> "PreTrainedConfig":
    """Return a copy of a configuration with other settings; None restores a default."""
    changed = copy.deepcopy(config)
    family = FAMILIES[config.model_type]
    if family.group and not getattr(changed, family.group):
        setattr(changed, family.group, {})
    group = _group(changed)
    for name, value in settings.items():
        if value is None:
            group.pop(name, None)
        else:
            group[name] = value
    return changed


def _group(config: "PreTrainedConfig") -> dict[str, Any]:
    """Return the attributes of the part of a configuration that names widths, as a dictionary."""
    group = FAMILIES[config.model_type].group
    part: Any = getattr(config, group) if group else config
    if part is None or isinstance(part, dict):
        return part or {}
    return vars(part)
