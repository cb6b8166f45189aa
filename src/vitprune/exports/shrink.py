"""From zeros to a smaller model with the same logits.

Structure that cannot reach the logits is physically removed: heads, dimensions of heads, MLP
neurons, branches and whole blocks. It is found in the zeros of the weights, whatever set them. All
sums are computed in float64 and rounded once.
"""

import math

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from vitprune.exports.affine import Affine
from vitprune.exports.survivors import BlockWeights, Survivors, find_survivors, fold_constants
from vitprune.model.anatomy.blocks import Block, activation, find_blocks, position_embeddings
from vitprune.model.anatomy.widths import Widths, read_widths, with_widths
from vitprune.model.loading import net_from_config


def shrink(net: PreTrainedModel, *, ragged: bool = False) -> PreTrainedModel:
    """Return a smaller model with the same logits; the model itself if nothing can be removed.

    Args:
        net: Pruned model, in evaluation mode; it is not changed.
        ragged: Give each block its own widths. Otherwise all blocks have the widths of the widest
            one and narrower ones are zero-padded, so that plain `transformers` loads the result.

    Raises:
        UsageError: If blocks of this model family cannot be shrunk.

    """
    blocks, full = find_blocks(net), read_widths(net.config)
    weights = [{role: Affine.of(layer) for role, layer in block.linear.items()} for block in blocks]
    constant = fold_constants(weights, activation(net.config))
    survivors = [find_survivors(block, full.head_dim) for block in weights]

    kept = [i for i, found in enumerate(survivors) if not found.is_empty] or [0]
    own = [survivors[i].widths for i in kept]
    common = Widths.cover(own)
    targets = own if ragged else [common] * len(kept)
    if targets == [full] * len(blocks):
        return net

    dtype = position_embeddings(net).dtype
    small = net_from_config(with_widths(net.config, common, len(kept))).to(dtype)
    new_blocks = find_blocks(small)
    _copy_the_rest(net, small, [blocks[i] for i in kept], new_blocks)
    for i, block, target in zip(kept, new_blocks, targets, strict=True):
        _fill(block, narrow(weights[i], survivors[i], target, full.head_dim))
        block.set_widths(target)
    with torch.no_grad():
        position_embeddings(small).add_(constant.to(dtype))
    return small.eval()


def narrow(
    block: BlockWeights, survivors: Survivors, widths: Widths, head_dim: int
) -> BlockWeights:
    """Return the weights of a block at new widths, zero-padded where fewer rows survive.

    Args:
        block: Weights with folded constants.
        survivors: Structure to keep.
        widths: New widths, at least those of the survivors.
        head_dim: Old dimensions of a head. Attention divides by the square root of the new ones,
            which scaling the query undoes.

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
    """Return row indices head after head, (heads * head_dim,); -1 for padding."""
    index = torch.full((widths.heads, widths.head_dim), -1)
    for i, rows in enumerate(heads):
        index[i, : len(rows)] = rows
    return index.view(-1)


@torch.no_grad()
def _copy_the_rest(
    net: PreTrainedModel, small: PreTrainedModel, old: list[Block], new: list[Block]
) -> None:
    """Copy all parameters except those of the linear layers of the blocks."""
    old_names = {b.name: a.name for a, b in zip(old, new, strict=True)}
    linear = [module for block in new for module in block.linear.values()]
    skipped = {id(value) for module in linear for value in module.parameters()}
    state = net.state_dict()
    for name, value in small.named_parameters():
        if id(value) not in skipped:
            block = next((b for b in old_names if name.startswith(f"{b}.")), "")
            value.copy_(state[old_names.get(block, "") + name.removeprefix(block)])


def _fill(block: Block, weights: BlockWeights) -> None:
    """Replace the weights of the linear layers of a block by ones of another shape."""
    for role, module in block.linear.items():
        module.out_features, module.in_features = weights[role].weight.shape
        dtype = module.weight.dtype
        module.weight = nn.Parameter(weights[role].weight.to(dtype).contiguous())
        if module.bias is not None:
            module.bias = nn.Parameter(weights[role].bias.to(dtype))
