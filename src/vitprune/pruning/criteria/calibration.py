"""Calibration statistics of a criterion, from batches or from training steps."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning import masks
from vitprune.pruning.criteria.criterion import Criterion
from vitprune.seeding import seed_for

BATCH_SIZE = (
    32  # part of the definition of a sample's sums: the same batches on one rank or on many
)


def calibrate(
    criterion: Criterion,
    layers: Sequence[Layer],
    batches: Iterable[tuple[Callable[[], Tensor], int, bool]],
    reduce: Callable[[Tensor], Tensor] = lambda total: total,
) -> dict[str, Tensor]:
    """Return what a criterion learns about each layer, by name; sums are kept in float64 and
    reduced once.

    A layer that runs several times in a forward pass has seen the tokens of all its calls.

    Args:
        criterion: Its `observe` sees every batch.
        layers: The layers to learn about.
        batches: For each batch a function that runs the model and returns its mean loss, its number
            of images, and whether it counts; one that does not only keeps the ranks in step.
        reduce: Sums a tensor over ranks.

    """
    sums: dict[str, Tensor] = {}
    images = 0
    with _recording(layers) as seen, torch.compiler.set_stance("force_eager"):
        for loss_of, count, counts in batches:
            with torch.set_grad_enabled(criterion.needs_gradients):
                loss = loss_of()
            ran = {
                name: tuple(calls) for name, calls in seen.items()
            }  # checkpointed layers run again in the backward pass
            missing = [name for name, calls in ran.items() if not calls]
            if missing:
                raise UsageError(
                    f"nothing can be learned about {missing[0]}, which is not called in the "
                    "training step (as the layers of torch's MultiheadAttention are not): leave it "
                    "out by pruning.layers.exclude."
                )
            outputs = [output for calls in ran.values() for _, output in calls]
            gradients: Iterator[Tensor | None] = itertools.repeat(None)
            if (
                criterion.needs_gradients
            ):  # the loss is a mean: its gradient times the images is that of each image
                gradients = iter(torch.autograd.grad(loss * count, outputs))
            images += count if counts else 0
            for layer in layers:
                if any(len(inputs) % count for inputs, _ in ran[layer.name]):
                    raise UsageError(
                        f"nothing can be learned about {layer.name}, which is not called for each "
                        "image: leave it out by pruning.layers.exclude."
                    )
                calls = [
                    _as_tokens(layer.module, inputs, next(gradients), count)
                    for inputs, _ in ran[layer.name]
                ]
                inputs, gradient = (torch.cat(parts, dim=1) for parts in zip(*calls, strict=True))
                observed = (
                    criterion.observe(inputs, gradient).double() * counts
                )  # a rank without images adds zeros
                sums[layer.name] = (
                    sums[layer.name].add_(observed) if layer.name in sums else observed
                )
                seen[layer.name].clear()
    total = int(reduce(torch.tensor(float(images), device=masks.read(layers[0]).device)))
    return {name: criterion.conclude(reduce(value) / total) for name, value in sums.items()}


@contextmanager
def _recording(layers: Sequence[Layer]) -> Iterator[dict[str, list[tuple[Tensor, Tensor]]]]:
    """Collect input and output of every call of each layer, by name, whenever the model runs."""
    seen: dict[str, list[tuple[Tensor, Tensor]]] = {layer.name: [] for layer in layers}

    def record(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if torch.is_grad_enabled() and not output.requires_grad:  # nothing before it is trained
                output.requires_grad_()
            seen[name].append((inputs[0].detach(), output))

        return hook

    handles = [layer.module.register_forward_hook(record(layer.name)) for layer in layers]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _as_tokens(
    module: nn.Module, inputs: Tensor, gradients: Tensor | None, images: int
) -> tuple[Tensor, Tensor]:
    """Return inputs (images, tokens, in) and gradients (images, tokens, out or 0) in float32; of a convolution the patches."""
    if isinstance(module, nn.Conv2d):
        patches = F.unfold(
            inputs.float(), module.kernel_size, module.dilation, _padding(module), module.stride
        )
        inputs, gradients = (
            patches.transpose(1, 2),
            None if gradients is None else gradients.flatten(2).transpose(1, 2),
        )
    inputs = inputs.float().reshape(images, -1, inputs.shape[-1])
    if gradients is None:
        return inputs, inputs[..., :0]
    return inputs, gradients.float().reshape(images, -1, gradients.shape[-1])


def _padding(module: nn.Conv2d) -> tuple[int, ...]:
    if isinstance(module.padding, str) or module.groups != 1:
        raise UsageError(
            f"{module} cannot be calibrated: it has groups, or padding that is not a number."
        )
    return module.padding


def sample(
    loader: DataLoader, images: int, seed: int, rank: int = 0, ranks: int = 1
) -> Iterator[tuple[Any, bool]]:
    """Yield a rank's batches of some images of a loader, and whether they count.

    Which images, and in which batches, is a function of the seed alone. Every rank gets as many
    batches, since a sharded model needs all to run; those beyond the last do not count.

    Args:
        loader: Over images that can be picked by number.
        images: How many of them, or as many as there are.
        seed: Chooses them.
        rank: Whose batches, from 0.
        ranks: How many share them.

    """
    dataset: Any = loader.dataset
    generator = torch.Generator().manual_seed(seed_for(seed, "calibration"))
    chunks = [
        chunk.tolist()
        for chunk in torch.randperm(len(dataset), generator=generator)[:images].split(BATCH_SIZE)
    ]
    mine = [
        chunks[i] if i < len(chunks) else chunks[0]
        for i in range(rank, math.ceil(len(chunks) / ranks) * ranks, ranks)
    ]
    for index, batch in enumerate(
        DataLoader(dataset, batch_sampler=mine, collate_fn=loader.collate_fn)
    ):
        yield batch, rank + index * ranks < len(chunks)


@torch.no_grad()
def follow(criterion: Criterion, layers: Sequence[Layer], learned: dict[str, Tensor]) -> None:
    """Add what an optimizer step teaches a criterion to what it has learned, by name of the layer."""
    for layer in layers:
        parameter = masks.original(layer)
        if parameter.grad is not None:
            step = criterion.follow(parameter.float(), parameter.grad.float())
            step = torch.where(
                step.isfinite(), step, 0.0
            )  # a step that a gradient scaler is going to skip
            learned[layer.name] = learned.get(layer.name, 0) + step
