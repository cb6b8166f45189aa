"""Compensation of one mask update, block by block."""

import math

import torch
from torch import Tensor

from vitprune.model.anatomy.layers import OUTPUT_ROLES, Layer
from vitprune.model.anatomy.records import Attention
from vitprune.pruning.compensation.affine import bias_of, matrix_of, write
from vitprune.pruning.compensation.compensation import Compensation
from vitprune.pruning.compensation.moments import Moments
from vitprune.pruning.compensation.replay import Replay
from vitprune.pruning.compensation.scores import compensate_scores
from vitprune.pruning.criteria.calibration import Calibration
from vitprune.pruning.masks import Masks


@torch.no_grad()
def compensate(masks: Masks, compensation: Compensation, calibration: Calibration) -> None:
    """Let what remains take over what newly pruned groups computed; see `Compensation`.

    Args:
        masks: The updated masks, within `Masks.changing`: newly pruned entries still have their
            values. Afterwards those are zero that the activations of other layers depend on.
        compensation: How pruned activations are predicted.
        calibration: The calibration data.

    Raises:
        UsageError: If there are no calibration images, or a layer cannot be observed.

    """
    replay = Replay(calibration)
    layers = {layer.name: layer for layer in masks.layers}
    outputs = [layer for layer in masks.layers if layer.role in OUTPUT_ROLES]
    for layer in sorted(outputs, key=_place):
        if isinstance(layer.branch, Attention):
            compensate_scores(layer.branch, layers, masks, compensation, replay)
        keep = masks[layer.weight].flatten(1)
        weight = matrix_of(layer)
        if weight.masked_fill(keep, 0).any():
            moments = replay.moments([layer], layer.block)[layer.name]
            _compensate_output(layer, weight, keep, moments, compensation)


def _place(layer: Layer) -> float:
    """Return the number of a layer's block; layers outside of the blocks are last."""
    return math.inf if layer.block is None else layer.block


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
