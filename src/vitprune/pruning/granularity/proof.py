"""Proof that the groups across layers that a structure record defines are coupled in the model.

If the columns that read a head or neuron are zero, its other weights cannot change the output of
the branch. If they change it, the record is wrong, and pruning would damage the model. The same
holds for query dimensions if the key dimensions are zero.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from vitprune.errors import UsageError
from vitprune.model.anatomy.records import Attention, Branch
from vitprune.model.token_merging import merging_paused
from vitprune.pruning.granularity.grouping import Grouping, Part
from vitprune.pruning.granularity.stream_proof import check_stream

ROUNDING = 16  # tolerance, in units of the precision of the largest logit


@torch.no_grad()
def check_coupling(
    model: nn.Module, groupings: Sequence[Grouping], logits: Callable[[], Tensor]
) -> None:
    """Check that heads, their dimensions, neurons and channels are coupled as their groupings say.

    Only the branch with the most groups is checked among those of one class and structure. The
    weights are restored.

    Cost: two forward passes for each class of attentions and MLPs.

    Args:
        model: The model in evaluation mode. Its weights must not be sharded.
        groupings: Groupings of weights; those of a single layer need no proof.
        logits: Runs the model on some images and returns its logits, (images, classes).

    Raises:
        UsageError: If the output of a branch or the logits depend on weights that nothing reads.

    """
    with merging_paused(model):  # it compares the keys that the proof changes
        for grouping in groupings:
            if grouping.companions and (stream := grouping.layers[0].stream):
                check_stream(stream, logits)
        _check_branches(model, groupings, logits)


def _check_branches(
    model: nn.Module, groupings: Sequence[Grouping], logits: Callable[[], Tensor]
) -> None:
    coupled = [grouping for grouping in groupings if not grouping.companions]
    for branch, grouping in _representatives(model, coupled):
        *inputs, output = grouping.parts
        group = _middle_group(grouping)
        generator = torch.Generator().manual_seed(0)
        with _restored(grouping.parts):
            for members in _members(output, group):
                members.zero_()
            before = _observed(model, branch, logits)
            for part in inputs:
                for members in _members(part, group):
                    members.copy_(torch.randn(members.shape, generator=generator))
            after = _observed(model, branch, logits)
        if not all(map(_are_equal, before, after)):
            raise UsageError(
                f"the structure of {branch.name} ({type(model.get_submodule(branch.name)).__name__}"
                ") is not what vitprune assumes: weights of a pruned "
                f"{'head' if isinstance(branch, Attention) else 'neuron'} still change its output. "
                "Declare it by vitprune.pruning.declare, or use a granularity within one layer, "
                "such as Row."
            )


def _observed(model: nn.Module, branch: Branch, logits: Callable[[], Tensor]) -> list[Tensor]:
    """Return the outputs of the module of a branch, then the logits.

    The logits alone are not enough: a small LayerScale hides the effect of a branch.
    """
    seen: list[Tensor] = []

    def see(_module: nn.Module, _inputs: object, output: Any) -> None:
        first = output if isinstance(output, Tensor) else next(iter(output))
        seen.append(first.clone())  # further outputs, such as attention weights, may differ

    handle = model.get_submodule(branch.name).register_forward_hook(see)
    try:
        result = logits()
    finally:
        handle.remove()
    return [*seen, result]


def _are_equal(before: Tensor, after: Tensor) -> bool:
    """Return whether tensors are equal up to rounding."""
    tolerance = ROUNDING * torch.finfo(before.dtype).eps * float(before.abs().max())
    return float((after - before).abs().max()) <= tolerance


def _representatives(
    model: nn.Module, groupings: Sequence[Grouping]
) -> Iterator[tuple[Branch, Grouping]]:
    """Yield the grouping with the most groups of each class of attentions and MLPs."""
    found: dict[object, tuple[Branch, Grouping]] = {}
    for grouping in groupings:
        branch = grouping.layers[0].branch
        if branch is None or len(grouping.parts) == 1:
            continue
        roles = tuple((part.layer.role, part.rows and part.rows.part) for part in grouping.parts)
        kind = (type(model.get_submodule(branch.name)), _without_names(branch), roles)
        if kind not in found or found[kind][1].groups < grouping.groups:
            found[kind] = (branch, grouping)
    yield from found.values()


def _without_names(branch: Branch) -> Branch:
    """Return the record without names and block, equal for the same branch in all blocks."""

    def inside(name: str) -> str:
        return name.removeprefix(f"{branch.name}.")

    if isinstance(branch, Attention):
        query, key, value = (
            replace(rows, layer=inside(rows.layer))
            for rows in (branch.query, branch.key, branch.value)
        )
        anywhere = replace(branch, name="", block=None, query=query, key=key, value=value)
        return replace(anywhere, output=inside(branch.output), heads=1)
    return replace(
        branch,
        name="",
        block=None,
        up=replace(branch.up, layer=inside(branch.up.layer)),
        gate=replace(branch.gate, layer=inside(branch.gate.layer)) if branch.gate else None,
        down=inside(branch.down),
        depthwise=inside(branch.depthwise) if branch.depthwise else None,
    )


def _middle_group(grouping: Grouping) -> tuple[int, ...]:
    """Return the index of a group in the views of a grouping."""
    group = grouping.groups // 2
    return (
        (group,) if grouping.group_dims == 1 else divmod(group, grouping.groups // grouping.pools)
    )


@contextmanager
def _restored(parts: Sequence[Part]) -> Iterator[None]:
    """Restore the weights and biases of the layers of some parts on exit."""
    tensors = [
        tensor
        for layer in {part.layer.name: part.layer for part in parts}.values()
        for tensor in (layer.weight, layer.bias)
        if tensor is not None
    ]
    values = [tensor.clone() for tensor in tensors]
    try:
        yield
    finally:
        for tensor, value in zip(tensors, values, strict=True):
            tensor.copy_(value)


def _members(part: Part, group: tuple[int, ...]) -> list[Tensor]:
    """View the weights of a group in a part; for rows also their biases."""
    members = [part.view(part.layer.weight)[group]]
    if part.rows and part.layer.bias is not None:
        members.append(part.view(part.layer.bias.unsqueeze(1))[group])
    return members
