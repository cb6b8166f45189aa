"""Which structure of a block reaches the logits, found in the zeros of its weights."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vitprune.exports.affine import Affine
from vitprune.model.anatomy.widths import Widths

BlockWeights = dict[str, Affine]  # by role


@dataclass(frozen=True)
class Survivors:
    """What of a block reaches the logits.

    Attributes:
        scores: For each surviving head, the rows of query and key that change attention scores.
        values: For each surviving head, the rows of value that attn_out reads; never empty.
        neurons: Neurons of the MLP that survive.

    """

    scores: list[Tensor]
    values: list[Tensor]
    neurons: Tensor

    @property
    def widths(self) -> Widths:
        """Smallest widths that hold the survivors."""
        dims = [len(rows) for rows in (*self.scores, *self.values)]
        return Widths(len(self.values), max(dims, default=0), len(self.neurons))

    @property
    def is_empty(self) -> bool:
        """Whether the whole block can be removed."""
        return not self.values and not len(self.neurons)


def fold_constants(blocks: list[BlockWeights], activate: nn.Module) -> Tensor:
    """Turn constant contributions into biases, in place; only what varies keeps a weight.

    A neuron or a value without weights is constant. A branch that is constant as a whole passes its
    constant to the branch before it, because nothing reads the residual stream in between.

    Args:
        blocks: Weights of all blocks, in order.
        activate: Activation of the MLP.

    Returns:
        What the first branches pass on, to be added to every token before the first block, (D,).

    """
    carried = torch.zeros_like(blocks[0]["attn_out"].bias)
    for block in reversed(blocks):
        block["mlp_out"].fold(~block["mlp_in"].rows, activate(block["mlp_in"].bias))
        # Attention weights sum to one, so a constant value passes through attention unchanged.
        block["attn_out"].fold(~block["value"].rows, block["value"].bias)
        for role in ("mlp_out", "attn_out"):
            carried = _absorb(block[role], carried)
    return carried


def _absorb(branch: Affine, carried: Tensor) -> Tensor:
    """Add a constant to the output of a branch; return what a constant branch passes on."""
    branch.bias += carried
    passed_on = torch.zeros_like(branch.bias)
    if not branch.weight.any():
        passed_on, branch.bias = branch.bias, passed_on
    return passed_on


def find_survivors(block: BlockWeights, head_dim: int) -> Survivors:
    """Return what of a block with folded constants reaches the logits."""
    # A key without weights adds the same to the scores of all tokens, which softmax ignores.
    # A query without weights but with a bias does matter: it adds bias * key.
    scores = block["key"].rows & (block["query"].rows | (block["query"].bias != 0))
    values = block["attn_out"].columns
    heads = [head for head in torch.arange(len(values)).split(head_dim) if values[head].any()]
    return Survivors(
        scores=[head[scores[head]] for head in heads],
        values=[head[values[head]] for head in heads],
        neurons=block["mlp_out"].columns.nonzero().squeeze(1),
    )
