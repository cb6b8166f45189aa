"""Changing the widths of branches by new weights in the modules of a model."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from vitprune.exports.shrinking.affine import Affine
from vitprune.exports.shrinking.survivors import BranchWeights, Survivors, Width
from vitprune.exports.shrinking.trial import first_tensor
from vitprune.model.anatomy.names import attention_names, owners
from vitprune.model.anatomy.records import Attention, Branch, Rows


class Constant(nn.Module):
    """Replacement of a branch that does not depend on its input: the bias of its output layer.

    Args:
        bias: (out,), or None for zero.
        width: Number of outputs.
        outputs: Length of the tuple that the replaced module returns, 0 if it returns a tensor. All
            but the first entry are None.

    """

    def __init__(self, bias: Tensor | None, width: int, outputs: int) -> None:
        super().__init__()
        self.bias = None if bias is None else nn.Parameter(bias)
        self.width = width
        self.outputs = outputs

    def forward(self, *args: object, **kwargs: object) -> Tensor | tuple[Tensor | None, ...]:
        """Return the bias for each token of the first tensor."""
        tokens = first_tensor(*args, *kwargs.values())
        assert tokens is not None
        shape = (*tokens.shape[:-1], self.width)
        output = (
            tokens.new_zeros(shape) if self.bias is None else self.bias.expand(shape).contiguous()
        )
        return (output, *[None] * (self.outputs - 1)) if self.outputs else output


def narrow(
    branch: Branch, weights: BranchWeights, survivors: Survivors, old: Width, new: Width
) -> BranchWeights:
    """Return the weights of a branch at another width, zero-padded where less survives.

    Args:
        branch: The branch.
        weights: Weights with folded constants.
        survivors: Structure to keep.
        old: Width of `weights`.
        new: New width, at least that of the survivors. Attention divides by the square root of the
            dimensions of a head, which scaling the query undoes.

    """
    values = _pack(survivors.values, new)
    if not isinstance(branch, Attention):
        inputs = {role: weights[role].take_rows(values) for role in weights if role != "mlp_out"}
        return {**inputs, "mlp_out": weights["mlp_out"].take_columns(values)}
    scores = _pack(survivors.scores, new)
    return {
        "query": weights["query"].take_rows(scores).times(math.sqrt(new.size / old.size)),
        "key": weights["key"].take_rows(scores),
        "value": weights["value"].take_rows(values),
        "attn_out": weights["attn_out"].take_columns(values),
    }


def _pack(groups: list[Tensor], width: Width) -> Tensor:
    """Return row indices, group after group, (groups * size,); -1 for padding."""
    index = torch.full((width.groups, width.size), -1)
    for i, rows in enumerate(groups):
        index[i, : len(rows)] = rows
    return index.view(-1)


@torch.no_grad()
def write(
    net: PreTrainedModel,
    branch: Branch,
    weights: BranchWeights,
    groups: Tensor,
    old: Width,
    new: Width,
) -> None:
    """Give a branch of a model other weights, in place.

    Args:
        net: The model.
        branch: Its branch.
        weights: New weights.
        groups: Numbers of the surviving heads or neurons.
        old: Width before.
        new: Width of the new weights.

    """
    if isinstance(branch, Attention):
        parts = (("query", branch.query), ("key", branch.key), ("value", branch.value))
        _set_inputs(net, [(rows, weights[role]) for role, rows in parts])
        _set(net.get_submodule(branch.output), [weights["attn_out"]])
        _set_attributes(net, branch.name, old, new)
        _set_tables(net, branch.name, groups, old, new)
    else:
        neurons = [(branch.up, weights["mlp_in"])]
        if branch.gate:
            neurons.append((branch.gate, weights["mlp_gate"]))
        _set_inputs(net, neurons)
        _set(net.get_submodule(branch.down), [weights["mlp_out"]])
        if branch.depthwise:
            _set_depthwise(net.get_submodule(branch.depthwise), groups, new)


def _set_inputs(net: nn.Module, parts: Iterable[tuple[Rows, Affine]]) -> None:
    """Write the layers whose parts are given."""
    by_layer: dict[str, dict[int, Affine]] = {}
    for rows, weights in parts:
        by_layer.setdefault(rows.layer, {})[rows.part] = weights
    for name, found in by_layer.items():
        _set(net.get_submodule(name), [found[part] for part in sorted(found)])


def _set(module: nn.Module, parts: list[Affine]) -> None:
    weight = torch.cat([part.weight for part in parts]).contiguous()
    kernel = _parameter(module, "weight").shape[2:]
    _replace(module, "weight", weight.view(*weight.shape, *kernel))
    if module.bias is not None:
        _replace(module, "bias", torch.cat([part.bias for part in parts]))
    _set_sizes(module, *weight.shape)


def _set_sizes(module: nn.Module, outputs: int, inputs: int) -> None:
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = outputs, inputs
    elif isinstance(module, nn.Conv2d):
        module.out_channels, module.in_channels = outputs, inputs


def _set_depthwise(module: nn.Module, neurons: Tensor, new: Width) -> None:
    for name in ("weight", "bias"):
        if getattr(module, name) is not None:
            kept = _parameter(module, name)[neurons]
            padding = kept.new_zeros(new.groups - len(neurons), *kept.shape[1:])
            _replace(module, name, torch.cat([kept, padding]))
    assert isinstance(module, nn.Conv2d)
    _set_sizes(module, new.groups, new.groups)
    module.groups = new.groups


def _set_attributes(net: nn.Module, attention: str, old: Width, new: Width) -> None:
    """Set the attributes of an attention module whose value is its old width."""
    names = attention_names(net.get_submodule(attention))
    numbers = (
        (names.heads, old.groups, new.groups),
        (names.head_dim, old.size, new.size),
        (names.width, old.groups * old.size, new.groups * new.size),
        (names.scale, old.size**-0.5, new.size**-0.5),
    )
    for attributes, before, after in numbers:
        for owner, attribute in owners(net, attention, attributes):
            if getattr(owner, attribute) == before:
                setattr(owner, attribute, after)


def _set_tables(net: nn.Module, attention: str, heads: Tensor, old: Width, new: Width) -> None:
    """Cut the parameters with a row or column for each head."""
    names = attention_names(net.get_submodule(attention))
    for parameters, dim in ((names.head_rows, 0), (names.head_columns, 1)):
        for owner, attribute in owners(net, attention, parameters):
            table = getattr(owner, attribute)
            if isinstance(table, nn.Parameter) and table.shape[dim] == old.groups:
                kept = table.detach().index_select(dim, heads)
                shape = list(table.shape)
                shape[dim] = new.groups - len(heads)
                _replace(owner, attribute, torch.cat([kept, table.new_zeros(shape)], dim))
                if isinstance(owner, nn.Linear):
                    owner.out_features = new.groups


def _parameter(module: nn.Module, name: str) -> nn.Parameter:
    parameter: nn.Parameter = getattr(module, name)
    return parameter


def _replace(module: nn.Module, name: str, value: Tensor) -> None:
    old = _parameter(module, name)
    setattr(module, name, nn.Parameter(value, requires_grad=old.requires_grad))
