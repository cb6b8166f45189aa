"""The smallest model with the same logits that plain loading builds.

Branches that are narrower than its configuration can express are zero-padded.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from vitprune.exports.shrinking.analysis import Analysis
from vitprune.exports.shrinking.cut import cut
from vitprune.exports.shrinking.parts import Part, output_of
from vitprune.exports.shrinking.plans import (
    CANNOT_BUILD,
    Plan,
    Renaming,
    build,
    find_plans,
    read_widths,
)
from vitprune.exports.shrinking.survivors import Width
from vitprune.exports.shrinking.trial import copy_modules
from vitprune.model.anatomy.layers import block_names, find_structure
from vitprune.model.anatomy.names import POSITIONS_PATTERN


def shrink_plainly(analysis: Analysis) -> Analysis:
    """Return the smallest model with the same logits that plain loading builds.

    Args:
        analysis: What can be removed from a model.

    Returns:
        The model in float64, and what is zero-padded in it; `analysis` itself if no configuration
        expresses a smaller model.

    """
    for plan in find_plans(analysis):
        try:
            small = _build(analysis, plan)
        except CANNOT_BUILD:
            continue
        if small is not None:
            return small
    return analysis


@torch.no_grad()
def _build(analysis: Analysis, plan: Plan) -> Analysis | None:
    """Return the model of a plan; None if its logits differ."""
    net = analysis.net
    small = build(net, plan.settings).double().eval()
    renaming = Renaming(block_names(net), plan.kept)
    widths = read_widths(small, renaming)
    if not plan.fits(widths):
        return None
    changed = copy_modules(net)
    cut(changed, plan.parts, widths)
    state = changed.state_dict()
    _carry_constants(state, analysis, plan)
    small.load_state_dict(renaming.state(state, small.state_dict()))
    if not analysis.is_same(small):
        return None
    return Analysis(small, analysis.trial, _padded(plan, small, widths, renaming), analysis.left)


def _carry_constants(state: dict[str, Tensor], analysis: Analysis, plan: Plan) -> None:
    """Add the constant outputs of removed blocks to the bias of the branch before.

    Nothing reads the residual stream in between. This is exact if branches are added unscaled;
    otherwise the comparison of the logits fails.

    Args:
        state: Tensors of all blocks, by name; changed ones are replaced.
        analysis: What can be removed from the model.
        plan: The smaller architecture.

    """
    by_block: dict[int, list[Part]] = {}
    for part in analysis.parts:
        if part.branch.block is not None:
            by_block.setdefault(part.branch.block, []).append(part)
    carried: Tensor | float = 0.0
    for block in sorted(by_block, reverse=True):
        if block not in plan.kept:
            carried = carried + sum(part.weights[part.output].bias for part in by_block[block])
        elif isinstance(carried, Tensor):
            name = f"{output_of(by_block[block][-1].branch)}.bias"
            state[name] = state[name] + carried
            carried = 0.0
    if isinstance(carried, Tensor) and carried.any():
        name = next(name for name in state if POSITIONS_PATTERN.fullmatch(name))
        state[name] = state[name] + carried


def _padded(
    plan: Plan, small: nn.Module, widths: Mapping[str, Width], renaming: Renaming
) -> list[Part]:
    """Return the parts of a plan as they are in its model: in front of the padding."""
    structure = find_structure(small)
    layers = {layer.name: layer for layer in structure.layers}
    branches = {renaming.to_original(output_of(branch)): branch for branch in structure.branches}
    parts = []
    for part in plan.parts:
        name = output_of(part.branch)
        here = replace(part, branch=branches[name], layers=layers)
        if widths[name] != part.width:  # otherwise nothing was moved or folded
            survivors = part.survivors.packed(widths[name])
            here = replace(here, seen=None, width=widths[name], survivors=survivors)
        parts.append(here)
    return parts
