"""Cutting the branches of a model to other widths."""

from collections.abc import Iterable, Mapping

import torch
from torch import nn

from vitprune.exports.shrinking.parts import Part, output_of
from vitprune.exports.shrinking.surgery import Constant, narrow, write
from vitprune.exports.shrinking.survivors import Width


@torch.no_grad()
def cut(net: nn.Module, parts: Iterable[Part], widths: Mapping[str, Width] | None = None) -> None:
    """Give branches of a model other widths.

    Modules are changed in place; their tensors are replaced.

    Args:
        net: Copy of the model that was analysed.
        parts: The branches.
        widths: New width of each branch, by `output_of`; by default those of the survivors, and a
            branch of which nothing survives becomes a constant.

    """
    for part in parts:
        branch = part.branch
        new = part.survivors.width if widths is None else widths[output_of(branch)]
        if new == part.width:
            continue
        if not new.groups and part.outputs is not None:
            _replace_by_constant(net, part)
            continue
        if not new.groups:
            new = Width(1, part.width.size)
        weights = narrow(branch, part.weights, part.survivors, part.width, new)
        write(net, branch, weights, part.survivors.groups, part.width, new)


def _replace_by_constant(net: nn.Module, part: Part) -> None:
    output = part.weights[part.output]
    bias = output.bias if output.bias.any() else None
    assert part.outputs is not None
    net.set_submodule(part.branch.name, Constant(bias, len(output.bias), part.outputs))
