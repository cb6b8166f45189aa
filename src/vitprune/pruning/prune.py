"""One-shot pruning of any model with torch alone."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.allocation.search import Search
from vitprune.pruning.budget.costs import Costs
from vitprune.pruning.compensation.moments import InputMoments
from vitprune.pruning.compensation.refit import refit
from vitprune.pruning.criteria.calibration import CalibrationBatch, calibrate
from vitprune.pruning.granularity.grouping import Grouping
from vitprune.pruning.granularity.proof import check_coupling
from vitprune.pruning.layer_selection import LayerSelection
from vitprune.pruning.masks import Masks
from vitprune.pruning.method import Method
from vitprune.pruning.rates import try_rates
from vitprune.pruning.reconstruct import reconstructed
from vitprune.pruning.sparsity import Sparsity, measure
from vitprune.pruning.update import update_masks
from vitprune.runs.trials import Trials

Batch = Mapping[str, Tensor] | Sequence[Tensor]
SEED = 42


def prune(
    model: nn.Module,
    method: Method,
    sparsity: float | None,
    batches: Iterable[Batch] | None = None,
    layers: LayerSelection | None = None,
    masks: Masks | None = None,
) -> Sparsity:
    """Prune a model in place, one-shot, and return the sparsity that it reached.

    Pruned weights are zero afterwards. `Masks` keeps them at zero during fine-tuning.

    Args:
        model: Any module; its layers must not be sharded.
        method: How to prune.
        sparsity: Target sparsity of the layers, absolute, in [0, 1). With a budget of FLOPs,
            parameters or latency, the fraction of it to remove; None if the budget has a target.
        batches: Calibration data, for criteria, budgets and compensation that need it: mappings
            with `labels`, whose other entries are arguments of the model, or pairs (inputs,
            labels). The loss is the cross-entropy of the model's output, or of its `logits`. The
            model is in evaluation mode meanwhile. With any criterion, the first batch is used to
            check that heads, their dimensions and neurons are coupled in the model as vitprune
            assumes. `Search` holds out the last batches.
        layers: Layers to prune, see `LayerSelection`. By default those with the roles of the
            granularity if it has some, else all attentions and MLPs; in a model without any, all
            but the stem, the classifier and depthwise convolutions. Frozen layers are not pruned.
        masks: Masks that are enforced in a training loop, to prune their layers further; by default
            new ones, which are not enforced.

    Returns:
        Sparsity by layer, of the pruned layers and of the whole model.

    Raises:
        UsageError: If the method does not fit the model or the sparsity, or lacks calibration data,
            or the weights of a group are not coupled (see `check_coupling`).

    Examples:
        >>> from vitprune.pruning import Magnitude, Method
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4))
        >>> prune(model, Method(Magnitude()), sparsity=0.75).layers
        {'0': 0.75, '2': 0.75}

    """
    if not isinstance(method, Method):
        raise UsageError(f"method must be a Method, such as Method(Magnitude()), not {method!r}.")
    if sparsity is not None and not 0 <= sparsity < 1:
        raise UsageError(f"sparsity must lie in [0, 1), not {sparsity}.")
    _check_batches(method, batches)
    selection = layers or LayerSelection()
    granularity = method.granularity
    selected = (
        masks.layers
        if masks
        else selection.select(model, granularity.roles, only_blocks=granularity.only_blocks)
    )
    method.check(selected)
    some, data, held_out = _divide(method, batches)
    with _evaluating(model):
        costs = _costs(model, method, selected, some)
        fraction = method.fraction(sparsity, costs)
        method.check_sparsity(selected, fraction, costs)
        _check_coupling(model, granularity.groupings(selected), some)
        statistics, moments = _calibrate(model, method, selected, data)
    masks = masks or method.masks(selected)
    update = partial(
        update_masks, sparsity=fraction, statistics=statistics, costs=costs, moments=moments
    )
    with _evaluating(model):
        method = _with_found_rates(model, method, masks, update, held_out)
    dense = copy.deepcopy(model) if method.refit_damping else None
    if method.criterion.in_order:
        with _evaluating(model), reconstructed(model, masks, list(_losses(model, data))):
            update(masks, method)
    else:
        update(masks, method)
    if dense is not None and method.refit_damping:
        with _evaluating(model), _evaluating(dense):
            refit(model, dense, masks, _runs(data), method.refit_damping)
    return measure(model, selected)


def _calibrate(
    model: nn.Module, method: Method, layers: Sequence[Layer], data: Iterable[Batch]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the statistics of the criterion and the input moments for compensation, by layer."""
    statistics: dict[str, Tensor] = {}
    moments: dict[str, Tensor] = {}
    with torch.enable_grad():
        if method.compensates:
            observed = method.compensating(layers)
            moments = calibrate(InputMoments(), observed, _losses(model, data))
        if method.criterion.calibrated:
            statistics = calibrate(method.criterion, layers, _losses(model, data))
    return statistics, moments


def _with_found_rates(
    model: nn.Module,
    method: Method,
    masks: Masks,
    update: Callable[[Masks, Method], None],
    held_out: Sequence[Batch],
) -> Method:
    """Return the method with the rates that its `Search` finds; the method itself without one."""
    if not isinstance(method.allocation, Search):
        return method
    trials = try_rates(masks, method, update, partial(_mean_loss, model, held_out), SEED)
    tried = Trials(list(islice(trials, method.allocation.trials)))
    return method.with_rates(tried.best.rates)


def _divide(
    method: Method, batches: Iterable[Batch] | None
) -> tuple[list[Batch], Iterable[Batch], list[Batch]]:
    """Return the first batch, all batches for calibration, and those held out for a search.

    Batches that are read once are not kept in memory.

    Raises:
        UsageError: If too few batches are left for calibration.

    """
    if isinstance(method.allocation, Search):
        data, held_out = _hold_out(list(batches or ()), method.allocation.images)
        return data[:1], data, held_out
    every = iter(() if batches is None else batches)
    some = list(islice(every, 1))
    read = chain(some, every)
    return some, list(read) if method.compensates or method.criterion.in_order else read, []


def _hold_out(batches: list[Batch], images: int) -> tuple[list[Batch], list[Batch]]:
    """Divide batches into those for calibration, and the last ones with at least some images.

    Raises:
        UsageError: If too few batches are left for calibration.

    """
    sizes = [len(batch["labels"] if isinstance(batch, Mapping) else batch[1]) for batch in batches]
    first = next((i for i in range(len(sizes))[::-1] if sum(sizes[i:]) >= images), 0)
    if first == 0:
        raise UsageError(
            f"Search holds out the last batches with {images} images from calibration, and there "
            f"are {sum(sizes)} images in {len(sizes)} batches. Pass more batches, or set "
            "Search(images=...) to less."
        )
    return batches[:first], batches[first:]


def _costs(
    model: nn.Module, method: Method, layers: Sequence[Layer], batches: Sequence[Batch]
) -> Costs | None:
    """Return what the model costs in the currency of the budget."""

    def run() -> None:
        if not batches:
            raise UsageError(
                f"{type(method.budget).__name__} runs the model to count what it costs. Pass "
                "batches: mappings with labels, or pairs (inputs, labels)."
            )
        next(_losses(model, batches)).loss()

    return method.budget.costs(model, method.granularity.groupings(layers), run)


def _check_batches(method: Method, batches: Iterable[Batch] | None) -> None:
    name = type(method.criterion).__name__
    if method.criterion.straight_through:
        raise UsageError(
            f"{name} scores what training does to the weights, and prune() does not train. Use "
            "IterativePruning, or another criterion."
        )
    if method.calibrated and batches is None:
        others = method.compensation or method.allocation
        needy = method.criterion if method.criterion.calibrated else others
        raise UsageError(
            f"{type(needy).__name__} needs calibration data. Pass batches: mappings with labels, "
            "or pairs (inputs, labels)."
        )


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode, and restore the mode of every module afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _check_coupling(
    model: nn.Module, groupings: Sequence[Grouping], batches: Sequence[Batch]
) -> None:
    """Check on the first batch, if there is one, that groups across layers are coupled."""
    coupled = [grouping for grouping in groupings if len(grouping.layers) > 1]
    for batch in batches:
        inputs, _ = _inputs_and_labels(batch, next(model.parameters()).device)
        check_coupling(model, coupled, partial(_logits, model, inputs))


def _logits(model: nn.Module, inputs: Mapping[str, Tensor] | Tensor) -> Tensor:
    output: Any = model(**inputs) if isinstance(inputs, Mapping) else model(inputs)
    logits: Tensor = getattr(output, "logits", output)
    return logits


def _losses(model: nn.Module, batches: Iterable[Batch]) -> Iterator[CalibrationBatch]:
    for batch in batches:
        inputs, labels = _inputs_and_labels(batch, next(model.parameters()).device)

        def loss(inputs: Mapping[str, Tensor] | Tensor = inputs, labels: Tensor = labels) -> Tensor:
            return F.cross_entropy(_logits(model, inputs), labels)

        yield CalibrationBatch(loss, images=len(labels))


def _runs(batches: Iterable[Batch]) -> list[Callable[[nn.Module], object]]:
    """Return what runs a model on each of some batches."""

    def run(model: nn.Module, batch: Batch) -> Tensor:
        inputs, _ = _inputs_and_labels(batch, next(model.parameters()).device)
        return _logits(model, inputs)

    return [partial(run, batch=batch) for batch in batches]


@torch.no_grad()
def _mean_loss(model: nn.Module, batches: Sequence[Batch]) -> float:
    """Return the mean loss over the images of some batches."""
    total = 0.0
    images = 0
    for batch in batches:
        inputs, labels = _inputs_and_labels(batch, next(model.parameters()).device)
        total += float(F.cross_entropy(_logits(model, inputs), labels, reduction="sum"))
        images += len(labels)
    return total / images


def _inputs_and_labels(
    batch: Batch, device: torch.device
) -> tuple[Mapping[str, Tensor] | Tensor, Tensor]:
    if isinstance(batch, Mapping) and "labels" in batch:
        moved = {
            name: value.to(device) if isinstance(value, Tensor) else value
            for name, value in batch.items()
        }
        return moved, moved.pop("labels")
    if isinstance(batch, Sequence) and len(batch) == 2:
        return batch[0].to(device), batch[1].to(device)
    raise UsageError(
        f"a calibration batch must be a mapping with labels, or a pair (inputs, labels), not "
        f"{sorted(batch) if isinstance(batch, Mapping) else type(batch).__name__}."
    )
