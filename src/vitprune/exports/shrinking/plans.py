"""The smaller architectures that a configuration can express.

Plain `transformers` (and `timm.create_model`) builds all blocks with the widths that the
configuration names.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from vitprune.exports.shrinking.analysis import Analysis
from vitprune.exports.shrinking.parts import Part, output_of
from vitprune.exports.shrinking.stream import fit_stream, is_plain
from vitprune.exports.shrinking.survivors import Width, width_of
from vitprune.model.anatomy.layers import block_names, find_structure
from vitprune.model.anatomy.records import Attention
from vitprune.model.anatomy.widths import (
    FAMILIES,
    Settings,
    WidthNames,
    with_settings,
)
from vitprune.model.loading import net_from_config

RATIO_TRIES = 6
# if a model lacks a setting, or does not support its value
CANNOT_BUILD = (RuntimeError, TypeError, ValueError, KeyError, AssertionError)
CHOICES = sorted(itertools.product((True, False), repeat=4), key=sum, reverse=True)


@dataclass(frozen=True)
class Plan:
    """A smaller architecture.

    Attributes:
        settings: What its configuration changes.
        kept: Numbers of the blocks that are kept.
        parts: The branches that may change.

    """

    settings: Settings
    kept: list[int]
    parts: list[Part]

    def fits(self, widths: Mapping[str, Width]) -> bool:
        """Return whether the survivors of its branches fit into widths, by `output_of`."""
        return all(widths[output_of(p.branch)].holds(p.survivors.width) for p in self.parts)


def find_plans(analysis: Analysis) -> Iterator[Plan]:
    """Yield different smaller architectures; those that change most settings come first."""
    family = FAMILIES.get(analysis.net.config.model_type)
    has_all_channels = is_plain(analysis.net)
    is_narrower = any(part.is_narrower for part in analysis.parts)
    if family is None or (has_all_channels and not is_narrower):
        return
    if has_all_channels:
        family = replace(family, channels=None)
    tried: list[Settings] = [{}]
    for names in _choices(family):
        try:
            plan = _plan(analysis, names)
        except CANNOT_BUILD:
            continue
        if plan.settings not in tried:
            tried.append(plan.settings)
            yield plan


def plain_widths(analysis: Analysis) -> dict[str, Width]:
    """Return the widths of branches in the smallest model that plain loading builds.

    No weights are computed: `shrink_plainly` may still find that the logits of such a model differ.

    Args:
        analysis: What can be removed from a model.

    Returns:
        The widths by `output_of`; those of the model if no configuration expresses a smaller one.

    """
    for plan in find_plans(analysis):
        try:
            widths = _widths_of(analysis.net, plan.settings, plan.kept)
        except CANNOT_BUILD:
            continue
        if plan.fits(widths):
            return widths
    return {output_of(part.branch): part.width for part in analysis.parts}


def _choices(family: WidthNames) -> Iterator[WidthNames]:
    """Yield the settings to change: all, then fewer, because not every model has all of them."""
    choices = [choice for choice in CHOICES if family.channels or not choice[0]]
    for channels, blocks, heads, neurons in choices:
        yield replace(
            family,
            channels=family.channels if channels else None,
            blocks=family.blocks if blocks else None,
            heads=family.heads if heads else None,
            neurons=family.neurons if neurons else None,
            ratio=family.ratio if neurons else None,
        )


def _plan(analysis: Analysis, names: WidthNames) -> Plan:
    """Return the smallest architecture that changes only these settings."""
    net = analysis.net
    count = len(block_names(net))
    dead = _dead_blocks(analysis) if names.blocks else set()
    kept = [block for block in range(count) if block not in dead] or [0]
    parts = [part for part in analysis.parts if part.branch.block in (*kept, None)]
    settings: Settings = {}
    if names.blocks and len(kept) < count:
        settings[names.blocks] = len(kept)
    heads = [p for p in parts if isinstance(p.branch, Attention) and p.branch.block is not None]
    neurons = [p for p in parts if not isinstance(p.branch, Attention)]
    if names.channels:  # of a model with fewer channels than its configuration says
        settings[names.channels] = find_structure(net).stream.channels
    if names.heads and names.head_dim and heads:
        width = _cover(heads)
        if width != heads[0].width or names.channels:
            settings |= {names.heads: width.groups, names.head_dim: width.size}
    follows_channels = bool(neurons and names.ratio and names.channels)
    if not any(part.is_narrower for part in neurons) and not follows_channels:
        return Plan(settings, kept, parts)
    if names.neurons:
        width = _cover(neurons)
        if width.groups < max(part.width.groups for part in neurons):
            settings[names.neurons] = width.groups
    elif names.ratio:
        ratio = _smallest_ratio(net, names, settings, neurons, kept)
        if ratio is not None:
            settings[names.ratio] = ratio
    return Plan(settings, kept, parts)


def _dead_blocks(analysis: Analysis) -> set[int]:
    """Return the blocks in which no branch reads its input."""
    branches = find_structure(analysis.net).branches
    dead = {output_of(p.branch) for p in analysis.parts if not p.survivors.width.groups}
    alive = {branch.block for branch in branches if output_of(branch) not in dead}
    return {branch.block for branch in branches if branch.block is not None} - alive


def _cover(parts: Sequence[Part]) -> Width:
    """Return the smallest common width, at least 1."""
    widths = [part.survivors.width for part in parts]
    return Width(max(1, *(w.groups for w in widths)), max(1, *(w.size for w in widths)))


def _smallest_ratio(
    net: PreTrainedModel,
    names: WidthNames,
    settings: Settings,
    parts: Sequence[Part],
    kept: Sequence[int],
) -> float | None:
    """Return the smallest ratio with room for the survivors; None if no MLP becomes smaller.

    Families round in their own ways, so models are built until their MLPs are wide enough.
    """
    assert names.ratio
    outputs = [output_of(part.branch) for part in parts]
    channels = [
        part.layers[name].matrix_shape[0] for part, name in zip(parts, outputs, strict=True)
    ]
    needs = [max(1, part.survivors.width.groups) for part in parts]
    ratio = max(need / size for need, size in zip(needs, channels, strict=True))
    # a configuration that keeps the number of channels counts neurons per channel that it names
    is_relative = bool(names.channels) or is_plain(net)
    for attempt in range(RATIO_TRIES):
        if names.ratio_is_integer:
            ratio = math.ceil(ratio)
        widths = _widths_of(net, {**settings, names.ratio: ratio}, kept)
        have = [widths[name].groups for name in outputs]
        missing = max(need / size for need, size in zip(needs, have, strict=True))
        if missing <= 1 and (is_relative or attempt):
            full = [part.width.groups for part in parts]
            return ratio if sum(have) < sum(full) or names.channels else None
        ratio = math.nextafter(ratio * missing, math.inf)
    return None


def _widths_of(net: PreTrainedModel, settings: Settings, kept: Sequence[int]) -> dict[str, Width]:
    """Return the widths of a model with other settings, by `output_of` in the original."""
    with torch.device("meta"):
        built = build(net, settings)
    return read_widths(built, Renaming(block_names(net), kept))


def build(net: PreTrainedModel, settings: Settings) -> PreTrainedModel:
    """Return a new model with other settings and random weights, and with the channels of `net`."""
    built = net_from_config(with_settings(net.config, settings))
    return fit_stream(built, find_structure(net).stream.channels)


@dataclass(frozen=True)
class Renaming:
    """Names in a model without some blocks.

    Attributes:
        blocks: Names of all blocks in the original.
        kept: Numbers of the blocks that are kept.

    """

    blocks: Sequence[str]
    kept: Sequence[int]

    def to_original(self, name: str) -> str:
        """Return the name in the original."""
        for new, old in enumerate(self.kept):
            if name.startswith(f"{self.blocks[new]}."):
                return self.blocks[old] + name.removeprefix(self.blocks[new])
        return name

    def state(self, original: Mapping[str, Tensor], names: Iterable[str]) -> dict[str, Tensor]:
        """Return the tensors of the smaller model, which has these names."""
        return {name: original[self.to_original(name)] for name in names}


def read_widths(built: nn.Module, renaming: Renaming) -> dict[str, Width]:
    """Return the widths of a model that was built by a plan, by `output_of` in the original."""
    structure = find_structure(built)
    layers = {layer.name: layer for layer in structure.layers}
    return {
        renaming.to_original(output_of(branch)): width_of(branch, layers)
        for branch in structure.branches
    }
