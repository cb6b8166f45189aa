"""Compensation of one mask update."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from vitprune.model.anatomy.layers import OUTPUT_ROLES, Layer
from vitprune.model.anatomy.records import Attention
from vitprune.pruning.compensation.affine import bias_of, matrix_of, write
from vitprune.pruning.compensation.compensation import Compensation
from vitprune.pruning.compensation.moments import InputMoments, Moments
from vitprune.pruning.compensation.scores import compensate_scores
from vitprune.pruning.granularity.grouping import Grouping
from vitprune.pruning.masks import Masks


def observed_layers(groupings: Sequence[Grouping]) -> list[Layer]:
    """Return the layers whose inputs a compensation needs to know.

    These are attn_out and mlp_out, and the queries and keys whose dimensions are pruned alone.
    """
    found: dict[str, Layer] = {}
    for grouping in groupings:
        outputs = [layer for layer in grouping.layers if layer.role in OUTPUT_ROLES]
        found |= {layer.name: layer for layer in outputs or grouping.layers}
    return list(found.values())


@torch.no_grad()
def compensate(masks: Masks, compensation: Compensation, statistics: Mapping[str, Tensor]) -> None:
    """Let the remaining weights compensate for newly pruned groups; see `Compensation`.

    Args:
        masks: The updated masks, within `Masks.changing`: newly pruned entries still have their
            values.
        compensation: How pruned activations are predicted.
        statistics: Statistic of `InputMoments` of each of the `observed_layers`, by name.

    """
    moments = {name: InputMoments.read(statistic) for name, statistic in statistics.items()}
    layers = {layer.name: layer for layer in masks.layers}
    for layer in masks.layers:
        if layer.role not in OUTPUT_ROLES:
            continue
        if isinstance(layer.branch, Attention):
            compensate_scores(layer.branch, layers, masks, compensation, moments)
        keep = masks[layer.weight].flatten(1)
        weight = matrix_of(layer)
        if weight.masked_fill(keep, 0).any():
            _compensate_output(layer, weight, keep, moments[layer.name], compensation)


def _compensate_output(
    layer: Layer, weight: Tensor, keep: Tensor, moments: Moments, compensation: Compensation
) -> None:
    kept = keep.any(dim=0)
    pruned = weight.masked_fill(keep, 0)
    spread = moments.about(mean=layer.bias is not None)
    updated = weight - pruned
    updated[:, kept] += pruned[:, ~kept] @ compensation.coefficients(spread, kept)
    updated.masked_fill_(~keep, 0)
    write(layer, updated, bias_of(layer) + (weight - updated) @ moments.mean)
