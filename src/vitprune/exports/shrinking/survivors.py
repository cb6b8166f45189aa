"""Which structure of a branch influences the logits, found by the zeros in its weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from vitprune.exports.shrinking.affine import Affine
from vitprune.exports.shrinking.trial import Range
from vitprune.model.anatomy.layers import Layer
from vitprune.model.anatomy.records import Attention, Branch

BranchWeights = dict[str, Affine]  # by role: query, key, value, attn_out, mlp_in, mlp_gate, mlp_out


@dataclass(frozen=True)
class Width:
    """The inner width of a branch.

    Attributes:
        groups: Number of heads of an attention, or of neurons of an MLP; 0 if nothing is left.
        size: Dimensions of a head; 1 for a neuron.

    """

    groups: int
    size: int = 1

    def holds(self, other: "Width") -> bool:
        """Return whether another width can be zero-padded to this one."""
        return self.groups >= other.groups and self.size >= other.size


@dataclass(frozen=True)
class Survivors:
    """The structure of a branch that influences the logits.

    Attributes:
        groups: Numbers of the surviving heads or neurons.
        values: For each of these, the inputs of the output layer that are needed.
        scores: For each of these heads, the rows of query and key that are needed; for neurons the
            same as `values`.

    """

    groups: Tensor
    values: list[Tensor]
    scores: list[Tensor]

    @cached_property
    def width(self) -> Width:
        """Smallest width that holds the survivors."""
        dims = [len(rows) for rows in (*self.values, *self.scores)]
        return Width(len(self.groups), max(dims, default=0))

    def packed(self, width: Width) -> "Survivors":
        """Return the same structure where `narrow` places it at another width."""
        starts = [group * width.size for group in range(len(self.groups))]

        def place(groups: list[Tensor]) -> list[Tensor]:
            return [
                start + torch.arange(len(rows)) for start, rows in zip(starts, groups, strict=True)
            ]

        return Survivors(torch.arange(len(self.groups)), place(self.values), place(self.scores))


def width_of(branch: Branch, layers: Mapping[str, Layer]) -> Width:
    """Return the current width of a branch."""
    if isinstance(branch, Attention):
        inputs = layers[branch.output].matrix_shape[1]
        return Width(branch.heads, inputs // branch.heads)
    return Width(layers[branch.down].matrix_shape[1])


def read_weights(branch: Branch, layers: Mapping[str, Layer]) -> BranchWeights:
    """Copy the weights of a branch in float64."""
    if isinstance(branch, Attention):
        inputs = {"query": branch.query, "key": branch.key, "value": branch.value}
        weights = {role: Affine.of(layers[rows.layer], rows) for role, rows in inputs.items()}
        return {**weights, "attn_out": Affine.of(layers[branch.output])}
    gate = {"mlp_gate": Affine.of(layers[branch.gate.layer], branch.gate)} if branch.gate else {}
    up = Affine.of(layers[branch.up.layer], branch.up)
    return {**gate, "mlp_in": up, "mlp_out": Affine.of(layers[branch.down])}


def is_whole(branch: Branch, layers: Mapping[str, Layer]) -> bool:
    """Return whether a branch has no row or column of zeros, so that nothing can be removed."""
    return all(
        bool(weights.columns.all() if role in ("attn_out", "mlp_out") else weights.rows.all())
        for role, weights in read_weights(branch, layers).items()
    )


def fold_constants(branch: Branch, weights: BranchWeights, seen: Range | None) -> None:
    """Turn constant contributions into the bias of the output layer, in place.

    The output of a neuron or a value with zero weights is constant.

    Args:
        branch: The branch.
        weights: Its weights.
        seen: Range of the inputs of its output layer; None if unknown.

    """
    if seen is None:
        return
    if isinstance(branch, Attention):
        # Attention weights sum to one, so a constant value passes through attention unchanged.
        value = weights["value"]
        constant = ~value.rows & seen.is_near(value.bias)
        weights["attn_out"].fold(constant, value.bias)
    elif branch.depthwise is None:
        weights["mlp_out"].fold(_constant_neurons(weights, seen), seen.low)


def _constant_neurons(weights: BranchWeights, seen: Range) -> Tensor:
    up, gate = weights["mlp_in"], weights.get("mlp_gate")
    if gate is None:
        return ~up.rows & seen.is_near(seen.low)
    is_zero = (~up.rows & (up.bias == 0)) | (~gate.rows & (gate.bias == 0))
    both = ~up.rows & ~gate.rows & seen.is_near(seen.low)
    return both | (is_zero & (seen.low == 0) & (seen.high == 0))


def keeps_whole_heads(branch: Branch) -> bool:
    """Return whether only whole heads of a branch can be removed, not single dimensions.

    Rotary embeddings and norms of queries and keys depend on all dimensions of a head.
    """
    return isinstance(branch, Attention) and (bool(branch.rotary) or branch.normed_scores)


def find_survivors(
    branch: Branch, weights: BranchWeights, width: Width, *, whole_heads: bool = False
) -> Survivors:
    """Return the structure of a branch, with folded constants, that influences the logits.

    Args:
        branch: The branch.
        weights: Its weights.
        width: Its current width.
        whole_heads: Keep all dimensions of a head that survives.

    """
    output = weights["attn_out" if isinstance(branch, Attention) else "mlp_out"]
    rows = torch.arange(width.groups * width.size).view(width.groups, width.size)
    alive = output.columns.view_as(rows)
    groups = alive.any(dim=1).nonzero().squeeze(1)
    if not isinstance(branch, Attention):
        single = list(rows[groups])
        return Survivors(groups, single, single)
    if whole_heads or keeps_whole_heads(branch):
        whole = list(rows[groups])
        return Survivors(groups, whole, whole)
    # A key without weights adds the same to the scores of all tokens, which softmax ignores.
    # A query without weights but with a bias does matter: it adds bias * key.
    key, query = weights["key"], weights["query"]
    scores = (key.rows & (query.rows | (query.bias != 0))).view_as(rows)
    return Survivors(
        groups,
        values=[rows[head][alive[head]] for head in groups],
        scores=[rows[head][scores[head]] for head in groups],
    )
