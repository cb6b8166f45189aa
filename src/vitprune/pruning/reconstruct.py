"""Update the remaining weights again, layer after layer, on what the pruned layers compute."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.model.anatomy.stages import find_stages
from vitprune.pruning.compensation.stage_runs import StageRuns, run_once
from vitprune.pruning.criteria.calibration import CalibrationBatch
from vitprune.pruning.criteria.recording import as_tokens, recorded
from vitprune.pruning.masks import Masks
from vitprune.pruning.masks.sharding import whole

DAMPING = 0.1  # with 0.01 the error is smaller on calibration images and larger on others
ITERATIONS = 50

Inputs = dict[str, Tensor]  # of layers, (tokens, in)


@contextmanager
def reconstructed(
    model: nn.Module,
    masks: Masks,
    batches: Sequence[CalibrationBatch],
    reduce: Callable[[Tensor], Tensor] = lambda total: total,
) -> Iterator[None]:
    """Fit the remaining weights to what the model computed on entry, after an update of its masks.

    One layer after the other, in the order of the model's modules, the weight W of each minimises

        |W X - W_0 X_0|^2 + damping mean(diag X X^T) |W - W_1|^2

    by conjugate gradients, where X are its inputs in the pruned model, whose earlier layers are
    fitted already, W_0 and X_0 its weight and inputs on entry, and W_1 its weight after the update.
    Layers outside of embeddings and blocks keep W_1.

    Cost: about eight forward passes, memory for the hidden states of all images in both models and
    for the inputs of a block, and for each layer 50 products of an (out, in) and an (in, in)
    matrix.

    Args:
        model: The model, in evaluation mode.
        masks: The masks that are updated within the context.
        batches: The calibration data, which run the model.
        reduce: Sums a tensor over ranks.

    Raises:
        UsageError: If the model is sharded, or its blocks do not run once each in their order.

    """
    names = [name.removesuffix(".") for name in find_stages(model)]
    _check(model, masks, names, batches)
    before = {layer.name: layer.weight.detach().clone() for layer in masks.layers}
    yield
    _reconstruct(model, masks, names, before, batches, reduce)


def _check(
    model: nn.Module, masks: Masks, names: Sequence[str], batches: Sequence[CalibrationBatch]
) -> None:
    if any(whole(layer.weight) is not layer.weight for layer in masks.layers):
        raise UsageError(
            "in_order of SparseGPT does not support sharded models. Set "
            "pruning.criterion.in_order to false, or use a strategy that does not shard."
        )
    stages = [model.get_submodule(name) for name in names]
    merged = any("forward" in vars(stage) for stage in stages)  # as token merging does
    with torch.no_grad():
        ordered = not merged and run_once(model, stages, partial(_run, batches[0]))
    if not stages or not ordered:
        raise UsageError(
            "in_order of SparseGPT needs a transformer whose blocks run once each, in their order, "
            "without token merging. Set pruning.criterion.in_order to false."
        )


def _run(batch: CalibrationBatch, _: nn.Module) -> None:
    batch.loss()


@torch.no_grad()
def _reconstruct(
    model: nn.Module,
    masks: Masks,
    names: Sequence[str],
    before: Mapping[str, Tensor],
    batches: Sequence[CalibrationBatch],
    reduce: Callable[[Tensor], Tensor],
) -> None:
    runs = [partial(_run, batch) for batch in batches]
    pruned = StageRuns(model, names, runs)
    earlier = StageRuns(model, names, runs)
    for name in names:
        layers = [layer for layer in masks.layers if layer.name.startswith(f"{name}.")]
        with _weights(masks.layers, before):
            inputs_before = [_inputs(earlier, index, layers, batches) for index in range(len(runs))]
            earlier.advance()
        for group in _sharing_inputs(layers, inputs_before[0]):
            gram: Tensor | float = 0.0
            across: Tensor | float = 0.0
            for index, batch in enumerate(batches):
                x = _inputs(pruned, index, group[:1], batches)[group[0].name].double()
                x_before = inputs_before[index][group[0].name].double()
                gram = gram + x.T @ x * batch.counts
                across = across + x_before.T @ x * batch.counts
            assert isinstance(gram, Tensor)
            assert isinstance(across, Tensor)
            total, total_across = reduce(gram), reduce(across)
            for layer in group:
                _fit(layer, masks[layer.weight], before[layer.name], total, total_across)
        pruned.advance()


@contextmanager
def _weights(layers: Sequence[Layer], values: Mapping[str, Tensor]) -> Iterator[None]:
    """Use other weights for a while."""
    now = {layer.name: layer.weight.clone() for layer in layers}
    for layer in layers:
        layer.weight.copy_(values[layer.name])
    try:
        yield
    finally:
        for layer in layers:
            layer.weight.copy_(now[layer.name])


def _inputs(
    runs: StageRuns, index: int, layers: Sequence[Layer], batches: Sequence[CalibrationBatch]
) -> Inputs:
    """Return the inputs of layers of the next stage on a batch."""
    if not layers:
        return {}
    with recorded(layers) as recording:
        runs.call(index, runs.stages[runs.done])
        calls = recording.calls()
    images = batches[index].images
    found: Inputs = {}
    for layer in layers:
        tokens = [
            as_tokens(layer.module, call.inputs, None, images)[0] for call in calls[layer.name]
        ]
        found[layer.name] = torch.cat(tokens, dim=1).flatten(0, 1)
    return found


def _sharing_inputs(layers: Sequence[Layer], inputs: Inputs) -> list[list[Layer]]:
    """Return the layers in the order in which they run, those with the same inputs together."""
    groups: list[list[Layer]] = []
    for layer in layers:
        own = inputs[layer.name]
        if groups and torch.equal(inputs[groups[-1][0].name], own):
            groups[-1].append(layer)
        else:
            groups.append([layer])
    return groups


def _fit(layer: Layer, keep: Tensor, before: Tensor, gram: Tensor, across: Tensor) -> None:
    """Fit the kept weights of a layer.

    Args:
        layer: The layer.
        keep: Its mask.
        before: Its weight before the round.
        gram: X X^T, (in, in).
        across: X_0 X^T, (in, in).

    """
    kept = keep.flatten(1)
    weight = layer.weight.flatten(1).double()
    ridge = DAMPING * gram.diagonal().mean().clamp(min=torch.finfo(torch.float32).tiny)
    matrix = gram + ridge * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    target = before.flatten(1).double() @ across + ridge * weight
    updated = _conjugate_gradients(weight * kept, kept, matrix, target)
    layer.weight.copy_(updated.view_as(layer.weight))


def _conjugate_gradients(start: Tensor, kept: Tensor, matrix: Tensor, target: Tensor) -> Tensor:
    """Solve W matrix = target for the kept entries of each row of W, the others being zero."""
    solution = start
    residual = (target - solution @ matrix) * kept
    scaled = residual / matrix.diagonal()
    direction = scaled
    size = (residual * scaled).sum(dim=1, keepdim=True)
    tiny = torch.finfo(torch.float32).tiny  # rows that are solved, or have no kept weight
    for _ in range(ITERATIONS):
        product = (direction @ matrix) * kept
        length = size / (direction * product).sum(dim=1, keepdim=True).clamp(min=tiny)
        solution = solution + length * direction
        residual = residual - length * product
        scaled = residual / matrix.diagonal()
        before, size = size, (residual * scaled).sum(dim=1, keepdim=True)
        direction = scaled + size / before.clamp(min=tiny) * direction
    return solution
