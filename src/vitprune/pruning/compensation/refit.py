"""Refit what writes to the residual stream, block after block, to the stream of the dense model."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from vitprune.model.anatomy.layers import OUTPUT_ROLES, Layer, find_layers
from vitprune.model.anatomy.stages import find_stages
from vitprune.pruning.compensation.affine import bias_of, matrix_of, write
from vitprune.pruning.compensation.stage_runs import Run, StageRuns, first_tensor, run_once
from vitprune.pruning.masks import Masks

TOLERANCE = 1e-3  # relative error of the sum of a block's branches, in float32


@torch.no_grad()
def refit(
    model: nn.Module, dense: nn.Module, masks: Masks, runs: Sequence[Run], damping: float
) -> None:
    """Fit attn_out and mlp_out of each block again, on what the pruned blocks before it compute.

    `Ridge` predicts pruned activations from those of the dense model. In the pruned model the kept
    ones are others, and errors add up from block to block. Here, weight W and bias b of each layer
    minimise, one layer after the other,

        |W x + b - (y + s - s')|^2 + damping mean(diag C) |W - W_0|^2,

    where x is its input in the pruned model, with covariance C, y its output in the dense model,
    and s and s' are the residual streams that y and W x + b are added to in both models, so that
    earlier errors are corrected. If a block does not add the plain outputs of its layers, as with
    LayerScale, s - s' is left out.

    Nothing happens in models without one residual stream, whose blocks or layers do not run once
    each in their order, or where other code has replaced the forward of a block (token merging);
    nor to layers outside of blocks or with single pruned weights inside kept inputs.

    Cost: about five forward passes, and memory for four streams of all images.

    Args:
        model: The pruned model, in evaluation mode.
        dense: The model before pruning, with the same names.
        masks: Masks of the pruned layers.
        runs: Each runs a model on the images of a batch.
        damping: See above; W_0 is the weight so far.

    """
    stream = masks.layers[0].stream
    if stream is None or stream.obstacle is not None:
        return
    names = [name.removesuffix(".") for name in find_stages(model)]
    writers = [layer for layer in find_layers(model) if layer.role in OUTPUT_ROLES]
    stages = [model.get_submodule(name) for name in names]
    if any("forward" in vars(stage) for stage in stages) or not run_once(model, stages, runs[0]):
        return
    if not run_once(model, [layer.module for layer in writers], runs[0]):
        return
    pruned_runs = StageRuns(model, names, runs)
    dense_runs = StageRuns(dense, names, runs)
    for name in names:
        layers = [layer for layer in writers if layer.name.startswith(f"{name}.")]
        if layers:
            _refit_block(layers, masks, pruned_runs, dense_runs, damping)
        pruned_runs.advance()
        dense_runs.advance()


def _refit_block(
    layers: Sequence[Layer], masks: Masks, pruned: StageRuns, dense: StageRuns, damping: float
) -> None:
    """Refit those of the layers of a block that have masks."""
    batches = range(len(pruned.runs))
    adds = _adds_up(layers, dense)
    gaps: list[Tensor | float] = [
        dense.stream(batch) - pruned.stream(batch) if adds else 0.0 for batch in batches
    ]
    for layer in layers:
        counterpart = dense.model.get_submodule(layer.name)
        wanted = [dense.call(batch, counterpart).output + gaps[batch] for batch in batches]
        if layer.weight in masks:
            keep = masks[layer.weight].flatten(1)
            kept = keep.any(dim=0)
            if keep[:, kept].all():
                inputs = (pruned.call(batch, layer.module).inputs for batch in batches)
                _fit(layer, kept, zip(inputs, wanted, strict=True), damping)
        if adds:
            gaps = [wanted[batch] - pruned.call(batch, layer.module).output for batch in batches]


def _adds_up(layers: Sequence[Layer], dense: StageRuns) -> bool:
    """Return whether the next stage adds the outputs of these layers, and nothing else."""
    before = dense.stream(0)
    after = first_tensor(dense.call(0, dense.stages[dense.done]).output)
    total = before
    for layer in layers:
        output = dense.call(0, dense.model.get_submodule(layer.name)).output
        if output.shape != before.shape:
            return False
        total = total + output
    return bool((total - after).norm() <= TOLERANCE * (after - before).norm())


def _fit(
    layer: Layer, kept: Tensor, pairs: Iterator[tuple[Tensor, Tensor]], damping: float
) -> None:
    """Fit the kept columns of a weight, and the bias, to pairs of inputs and wanted outputs."""
    products: Tensor | float = 0.0
    for inputs, wanted in pairs:
        x = inputs.reshape(-1, inputs.shape[-1])[:, kept].double()
        y = wanted.reshape(-1, wanted.shape[-1]).double()
        both = torch.cat([x, x.new_ones(len(x), 1)], dim=1)
        products = products + both.T @ torch.cat([both, y], dim=1)
    assert isinstance(products, Tensor)
    n = int(kept.sum())
    moments = products / products[n, n]
    mean = moments[n, :n]
    wanted_mean = moments[n, n + 1 :]
    if layer.bias is None:  # nothing takes over the means
        mean = torch.zeros_like(mean)
        wanted_mean = torch.zeros_like(wanted_mean)
    among = moments[:n, :n] - mean.outer(mean)
    across = moments[:n, n + 1 :] - mean.outer(wanted_mean)
    weight = matrix_of(layer)
    if n:
        ridge = damping * among.diagonal().mean().clamp(min=torch.finfo(torch.float32).tiny)
        among.diagonal().add_(ridge)
        before = weight[:, kept].T
        factor = torch.linalg.cholesky(among)
        weight[:, kept] = torch.cholesky_solve(across + ridge * before, factor).T
    bias = bias_of(layer) if layer.bias is None else wanted_mean - weight[:, kept] @ mean
    write(layer, weight, bias)
