"""Statistics of layers, from calibration batches or from training steps."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.criteria.criterion import Criterion
from vitprune.pruning.criteria.recording import Call, as_tokens, recorded
from vitprune.seeding import seed_for

BATCH_SIZE = 32  # part of the definition of the sums: the same batches on one rank or on many


@dataclass(frozen=True)
class CalibrationBatch:
    """Some images on which a criterion observes the layers.

    Attributes:
        loss: Runs the model on the images and returns the mean loss, (); None to skip the batch.
        images: Number of images.
        counts: Whether the images count; if not, the batch only keeps the ranks synchronized.

    """

    loss: Callable[[], Tensor | None]
    images: int
    counts: bool = True


class Observer(Protocol):
    """What collects a statistic of layers; see `Criterion` for its parts."""

    needs_gradients: bool
    observes_outputs: bool

    def observe(self, inputs: Tensor, gradients: Tensor) -> Tensor:
        """Return what some images add to the statistic of one layer."""

    def conclude(self, mean: Tensor) -> Tensor:
        """Return the statistic, from the mean of `observe` over the images (float64)."""


def calibrate(
    criterion: Observer,
    layers: Sequence[Layer],
    batches: Iterable[CalibrationBatch],
    reduce: Callable[[Tensor], Tensor] = lambda total: total,
) -> dict[str, Tensor]:
    """Return the statistic of each layer, by name; sums are kept in float64 and reduced once.

    The inputs of a layer that runs several times in a forward pass are the tokens of all its calls.

    Args:
        criterion: Criterion or other observer, whose `observe` sees every batch.
        layers: The layers to observe.
        batches: The calibration data.
        reduce: Sums a tensor over ranks.

    Raises:
        UsageError: If there is no image, or a layer is not called, or not for each image.

    """
    sums: dict[str, Tensor] = {}
    images = 0
    with recorded(layers) as recording, torch.compiler.set_stance("force_eager"):
        for batch in batches:
            with torch.set_grad_enabled(criterion.needs_gradients):
                loss = batch.loss()
            # copied, as checkpointed layers run again in the backward pass
            ran = recording.calls()
            if loss is None:
                recording.clear()
                continue
            _check_calls(ran, batch.images)
            gradients: Iterator[Tensor | None] = itertools.repeat(None)
            if criterion.needs_gradients:
                # the loss is a mean over images; `observe` needs each image's own gradient
                gradients = _gradients(loss * batch.images, ran)
            elif criterion.observes_outputs:
                gradients = (call.output.detach() for calls in ran.values() for call in calls)
            images += batch.images if batch.counts else 0
            for layer in layers:
                observed = _observe(criterion, layer, ran[layer.name], gradients, batch.images)
                # a rank without images adds zeros
                observed = observed.double() * batch.counts
                if layer.name in sums:
                    sums[layer.name].add_(observed)
                else:
                    sums[layer.name] = observed
            recording.clear()
    device = next(layers[0].module.parameters()).device
    total = int(reduce(torch.tensor(float(images), device=device)))
    if total == 0:
        raise UsageError(
            "no calibration data: there is no image, or the loss (in a Trainer the output of "
            "training_step) is None for every batch."
        )
    return {name: criterion.conclude(reduce(value) / total) for name, value in sums.items()}


def _check_calls(ran: dict[str, tuple[Call, ...]], images: int) -> None:
    for name, calls in ran.items():
        if not calls:
            raise UsageError(
                f"Cannot collect calibration statistics for {name}: training_step calls neither "
                "its forward nor torch.nn.functional.linear with its weight. Exclude it from the "
                "layers to prune (pruning.layers.exclude)."
            )
        if any(len(call.inputs) % images for call in calls):
            raise UsageError(
                f"Cannot collect calibration statistics for {name}: it is not called for each "
                "image. Exclude it from the layers to prune (pruning.layers.exclude)."
            )


def _gradients(loss: Tensor, ran: dict[str, tuple[Call, ...]]) -> Iterator[Tensor]:
    """Yield the gradient of the loss by the output of each call, in order.

    It is zero where the loss does not depend on the output.
    """
    outputs = [call.output for calls in ran.values() for call in calls]
    tracked = [output for output in outputs if output.requires_grad]
    gradients = iter(torch.autograd.grad(loss, tracked, allow_unused=True, materialize_grads=True))
    for output in outputs:
        yield next(gradients) if output.requires_grad else torch.zeros_like(output)


def _observe(
    criterion: Observer,
    layer: Layer,
    calls: Sequence[Call],
    gradients: Iterator[Tensor | None],
    images: int,
) -> Tensor:
    """Return what all calls of a layer on one batch add to its statistic."""
    tokens = [as_tokens(layer.module, call.inputs, next(gradients), images) for call in calls]
    inputs, gradient = (torch.cat(parts, dim=1) for parts in zip(*tokens, strict=True))
    return criterion.observe(inputs, gradient)


def sample(
    loader: DataLoader, images: int, seed: int, rank: int = 0, ranks: int = 1, skipped: int = 0
) -> Iterator[tuple[Any, bool]]:
    """Yield a rank's batches of some images of a loader, and whether they count.

    Which images, and in which batches, is a function of the seed alone. Every rank gets as many
    batches, since a sharded model needs all ranks to run; those beyond the last do not count.

    Args:
        loader: Loader of a data set with a length.
        images: Number of images; all if there are fewer.
        seed: Seed that selects the images.
        rank: This rank, from 0.
        ranks: Number of ranks that share the batches.
        skipped: Number of images to skip: those that the seed selects without it.

    """
    dataset: Any = loader.dataset
    generator = torch.Generator().manual_seed(seed_for(seed, "calibration"))
    chosen = torch.randperm(len(dataset), generator=generator)[skipped:][:images]
    chunks = [chunk.tolist() for chunk in chosen.split(BATCH_SIZE)]
    padded = math.ceil(len(chunks) / ranks) * ranks
    numbers = range(rank, padded, ranks)
    mine = [chunks[number] if number < len(chunks) else chunks[0] for number in numbers]
    batches = DataLoader(dataset, batch_sampler=mine, collate_fn=loader.collate_fn)
    for number, batch in zip(numbers, batches, strict=True):
        yield batch, number < len(chunks)


@torch.no_grad()
def accumulate_step(
    criterion: Criterion, layers: Iterable[Layer], statistics: dict[str, Tensor]
) -> None:
    """Add what a criterion observes in one optimizer step to its statistics.

    Args:
        criterion: Criterion with `observe_step`.
        layers: Layers that the step trains. Their weights have dense values (see
            `Masks.before_step`).
        statistics: Sums so far, by name of the layer; changed in place.

    """
    for layer in layers:
        gradient = layer.weight.grad
        if gradient is not None:
            observed = criterion.observe_step(layer.weight.float(), gradient.float())
            # not finite in a step that a gradient scaler is going to skip
            observed = torch.where(observed.isfinite(), observed, 0.0)
            statistics[layer.name] = statistics.get(layer.name, 0) + observed
