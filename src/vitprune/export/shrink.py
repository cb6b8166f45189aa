"""From zeros to a smaller model with the same logits.

What is dropped is what cannot reach the logits: heads, dimensions of heads, MLP neurons, branches
and whole blocks. It is found in the zeros of the weights, whoever put them there. All sums are in
float64 and rounded once.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from vitprune.export.affine import Affine
from vitprune.model.anatomy.blocks import Block, activation, find_blocks, position_embeddings
from vitprune.model.anatomy.layers import BLOCK_ROLES
from vitprune.model.anatomy.widths import Widths, read_widths, with_widths
from vitprune.model.loading import net_from_config

Weights = dict[str, Affine]  # of one block, by role


@dataclass(frozen=True)
class Survivors:
    """What of a block reaches the logits.

    Attributes:
        scores: Dimensions of query and key that move the attention scores, one tensor of row
            numbers for each live head.
        values: Dimensions of value that are read by attn_out, likewise; never empty for a live
            head.
        neurons: Neurons of the MLP, by row number.

    """

    scores: list[Tensor]
    values: list[Tensor]
    neurons: Tensor

    @property
    def widths(self) -> Widths:
        """The smallest widths that hold them."""
        dims = [len(rows) for rows in (*self.scores, *self.values)]
        return Widths(len(self.values), max(dims, default=0), len(self.neurons))


def shrink(net: PreTrainedModel, ragged: bool = False) -> PreTrainedModel:
    """Return a smaller model with the same logits, or the model itself if there is nothing to drop.

    Args:
        net: A model with plain weights, in evaluation mode; it stays as it is.
        ragged: Give each block widths of its own. Otherwise all blocks have those of the widest
            one, the rest filled up with zeros, so that plain `transformers` can load the result.

    Raises:
        UsageError: If the model is of a family whose blocks are built otherwise.

    """
    weights = [
        {role: Affine.of(block.linear[role]) for role in BLOCK_ROLES} for block in find_blocks(net)
    ]
    constant = fold_constants(weights, activation(net.config))
    survivors = [find_survivors(block, read_widths(net.config).head_dim) for block in weights]
    stay = [i for i, block in enumerate(survivors) if block.values or len(block.neurons)] or [0]
    widths = [survivors[i].widths for i in stay]
    common = Widths.cover(widths)
    if len(stay) == len(weights) and all(
        w == read_widths(net.config) for w in (widths if ragged else [common])
    ):
        return net
    small = net_from_config(with_widths(net.config, common, len(stay))).to(
        position_embeddings(net).dtype
    )
    blocks = find_blocks(small)
    _copy_the_rest(net, small, [find_blocks(net)[i] for i in stay], blocks)
    for i, block, own in zip(stay, blocks, widths, strict=True):
        target = own if ragged else common
        _fill(block, narrow(weights[i], survivors[i], target, read_widths(net.config).head_dim))
        block.set_widths(target)
    with torch.no_grad():
        position_embeddings(small).add_(constant.to(position_embeddings(small).dtype))
    return small.eval()


def fold_constants(blocks: list[Weights], activate: nn.Module) -> Tensor:
    """Turn constant contributions into biases, in place, so that only what varies with the input
    keeps a weight.

    A neuron or a value without weights is a constant. A branch that is a constant as a whole hands
    it to the branch before it: nobody reads the residual stream in between.

    Args:
        blocks: Weights of all blocks.
        activate: The activation of the MLP.

    Returns:
        What the first branches hand on, to be added to every token before the first block, (D,).

    """
    carried = torch.zeros_like(blocks[0]["attn_out"].bias)
    for block in reversed(blocks):
        block["mlp_out"].fold(~block["mlp_in"].rows, activate(block["mlp_in"].bias))
        block["attn_out"].fold(
            ~block["value"].rows, block["value"].bias
        )  # attention weights sum to one
        for role in ("mlp_out", "attn_out"):
            out = block[role]
            out.bias += carried
            carried = torch.zeros_like(out.bias)
            if not out.weight.any():
                carried, out.bias = out.bias, carried
    return carried


def find_survivors(block: Weights, head_dim: int) -> Survivors:
    """Return what of a block with folded constants reaches the logits."""
    # A key without weights adds the same to the scores of all tokens, and softmax does not see it.
    # A query without weights but with a bias does matter: it adds bias * key.
    scores = block["key"].rows & (block["query"].rows | (block["query"].bias != 0))
    values = block["attn_out"].columns
    heads = [head for head in torch.arange(len(values)).split(head_dim) if values[head].any()]
    return Survivors(
        scores=[head[scores[head]] for head in heads],
        values=[head[values[head]] for head in heads],
        neurons=block["mlp_out"].columns.nonzero().squeeze(1),
    )


def narrow(block: Weights, survivors: Survivors, widths: Widths, head_dim: int) -> Weights:
    """Return the weights of a block at new widths, filled up with zeros where fewer survive.

    Args:
        block: Weights with folded constants.
        survivors: What to keep of them.
        widths: At least as wide as the survivors.
        head_dim: The present one. Attention divides by its square root, so the query makes up for
            the difference.

    """
    scores = _pack(survivors.scores, widths)
    values = _pack(survivors.values, widths)
    neurons = torch.full((widths.neurons,), -1)
    neurons[: len(survivors.neurons)] = survivors.neurons
    query = block["query"].take_rows(scores)
    scale = math.sqrt(widths.head_dim / head_dim)
    return {
        "query": Affine(query.weight * scale, query.bias * scale),
        "key": block["key"].take_rows(scores),
        "value": block["value"].take_rows(values),
        "attn_out": block["attn_out"].take_columns(values),
        "mlp_in": block["mlp_in"].take_rows(neurons),
        "mlp_out": block["mlp_out"].take_columns(neurons),
    }


def _pack(heads: list[Tensor], widths: Widths) -> Tensor:
    """Return row numbers head after head, (heads * head_dim,), -1 where there is none."""
    index = torch.full((widths.heads, widths.head_dim), -1)
    for i, rows in enumerate(heads):
        index[i, : len(rows)] = rows
    return index.view(-1)


@torch.no_grad()
def _copy_the_rest(
    net: PreTrainedModel, small: PreTrainedModel, old: list[Block], new: list[Block]
) -> None:
    """Copy everything but the linear layers of the blocks."""
    renamed = {b.name: a.name for a, b in zip(old, new, strict=True)}
    state = net.state_dict()
    linear = {
        id(value)
        for block in new
        for module in block.linear.values()
        for value in module.parameters()
    }
    for name, value in small.named_parameters():
        if id(value) not in linear:
            block = next((b for b in renamed if name.startswith(b + ".")), "")
            value.copy_(state[renamed.get(block, "") + name.removeprefix(block)])


def _fill(block: Block, weights: Weights) -> None:
    """Put weights into the linear layers of a block, whatever their shape."""
    for role, module in block.linear.items():
        module.out_features, module.in_features = weights[role].weight.shape
        dtype = module.weight.dtype
        module.weight = nn.Parameter(weights[role].weight.to(dtype).contiguous())
        if module.bias is not None:
            module.bias = nn.Parameter(weights[role].bias.to(dtype))
