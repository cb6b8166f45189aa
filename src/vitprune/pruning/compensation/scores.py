"""Compensation of query/key dimensions: attention scores stay as they were."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from vitprune.model.anatomy.layers import Layer
from vitprune.model.anatomy.records import Attention, Rows
from vitprune.pruning.compensation.affine import bias_of, matrix_of, write
from vitprune.pruning.compensation.compensation import Compensation
from vitprune.pruning.compensation.moments import Moments
from vitprune.pruning.masks import Masks


@dataclass(frozen=True)
class _Head:
    """Queries or keys of one head.

    Attributes:
        weight: (dims, in), a view of the weight of the layer in float64.
        bias: (dims,), a view of its bias in float64.
        moments: Moments of the dimensions.

    """

    weight: Tensor
    bias: Tensor
    moments: Moments


def compensate_scores(
    attention: Attention,
    layers: Mapping[str, Layer],
    masks: Masks,
    compensation: Compensation,
    inputs: Mapping[str, Moments],
) -> None:
    """Let the queries of heads that lose some of their dimensions compensate for them.

    Args:
        attention: The attention.
        layers: Layers with masks, by name. Nothing happens if they do not include the queries and
            keys.
        masks: See `compensate`.
        compensation: How pruned dimensions are predicted from kept ones.
        inputs: Moments of the inputs of layers, by name.

    """
    query, key = layers.get(attention.query.layer), layers.get(attention.key.layer)
    if query is None or key is None:
        return
    if attention.rotary or attention.normed_scores:  # dimensions are not linear in the inputs
        return
    both = {layer.name: layer for layer in (query, key)}  # one, if it is a fused layer
    weights = {name: matrix_of(layer) for name, layer in both.items()}
    biases = {name: bias_of(layer) for name, layer in both.items()}
    keep = {name: masks[layer.weight].flatten(1) for name, layer in both.items()}
    parts = (attention.query, attention.key)
    kept = _kept(attention.query, keep, attention) & _kept(attention.key, keep, attention)
    pruned = kept.any(dim=1, keepdim=True) & ~kept  # of heads that are not pruned as a whole
    of_heads = [_by_head(rows, weights, attention) for rows in parts]
    changing = pruned & (of_heads[0].any(dim=2) | of_heads[1].any(dim=2))
    for head in changing.any(dim=1).nonzero().flatten().tolist():
        queries, keys = (_head(rows, head, weights, biases, inputs, attention) for rows in parts)
        _fold(queries, keys, kept[head], compensation, has_bias=query.bias is not None)
    if changing.any():
        alive = _by_head(attention.query, keep, attention)
        of_heads[0].masked_fill_(~alive & kept.unsqueeze(2), 0)
        write(query, weights[query.name], biases[query.name])


def _by_head(rows: Rows, tensors: Mapping[str, Tensor], attention: Attention) -> Tensor:
    """View rows of a tensor by head, (heads, dims, ...)."""
    return rows.of(tensors[rows.layer]).unflatten(0, (attention.heads, -1))


def _kept(rows: Rows, keep: Mapping[str, Tensor], attention: Attention) -> Tensor:
    """Return which dimensions have weights that are kept, (heads, dims)."""
    return _by_head(rows, keep, attention).any(dim=2)


def _head(
    rows: Rows,
    head: int,
    weights: Mapping[str, Tensor],
    biases: Mapping[str, Tensor],
    inputs: Mapping[str, Moments],
    attention: Attention,
) -> _Head:
    weight = _by_head(rows, weights, attention)[head]
    bias = _by_head(rows, biases, attention)[head]
    return _Head(weight, bias, inputs[rows.layer].of_map(weight, bias))


def _fold(
    queries: _Head, keys: _Head, kept: Tensor, compensation: Compensation, *, has_bias: bool
) -> None:
    """Add what predicts the pruned dimensions to the kept queries, in place."""
    b = compensation.coefficients(queries.moments.about(mean=has_bias), kept)
    d = compensation.coefficients(keys.moments.covariance, kept)
    mean = queries.moments.mean
    rest = mean[~kept] - b @ mean[kept]
    queries.bias[kept] += d.T @ (b @ queries.bias[kept] + rest)
    queries.weight[kept] += d.T @ b @ queries.weight[kept]
