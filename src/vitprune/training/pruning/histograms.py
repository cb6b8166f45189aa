"""Histograms of weights for TensorBoard, in one pass over each weight."""

from collections.abc import Sequence

import torch
from torch.utils.tensorboard import SummaryWriter

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.masks.sharding import whole

BINS = 64


@torch.no_grad()
def log_histograms(writer: SummaryWriter | None, layers: Sequence[Layer], step: int) -> None:
    """Write a histogram `weights/<layer>` of the nonzero weights of each layer.

    Zeros are left out: their bin would hide the others.

    Args:
        writer: The writer of TensorBoard; None on every rank but the first.
        layers: Layers to look at.
        step: Optimizer steps so far.

    """
    for layer in layers:
        weight = whole(layer.weight).float().flatten()  # on every rank: it may have to be gathered
        if writer is None:
            continue
        weight = weight[weight.isfinite()]
        largest = max(
            float(weight.abs().max()) if len(weight) else 0.0, torch.finfo(torch.float32).tiny
        )
        counts = torch.histc(weight, BINS, -largest, largest)
        counts[BINS // 2] -= weight.numel() - int(
            torch.count_nonzero(weight)
        )  # the bin that begins with zero
        writer.add_histogram_raw(
            f"weights/{layer.name}",
            min=-largest,
            max=largest,
            num=int(counts.sum()),
            sum=float(weight.sum()),
            sum_squares=float(weight.square().sum()),
            bucket_limits=torch.linspace(-largest, largest, BINS + 1)[1:].tolist(),
            bucket_counts=counts.tolist(),
            global_step=step,
        )
