"""Averages of the weights over steps or epochs, whose pruned entries must be zero as well."""

from collections.abc import Iterator, Sequence, Set
from itertools import chain

import torch
from lightning import LightningModule, Trainer
from torch import nn

from vitprune.errors import UsageError
from vitprune.model.channels import follow
from vitprune.pruning.masks import Masks
from vitprune.pruning.trained import why_untrained
from vitprune.training.lightning_internals import is_a
from vitprune.training.trained import trained_parameters


def check_weight_averaging(trainer: Trainer, *, restores_weights: bool) -> None:
    """Raise `UsageError` if a weight average cannot follow what happens to the weights.

    Args:
        trainer: The trainer with the callbacks.
        restores_weights: Whether earlier weights are restored, which an average does not follow.

    """
    for callback in trainer.callbacks:
        if not is_a(callback, "WeightAveraging"):
            continue
        name = type(callback).__name__
        if is_a(trainer.strategy, "ModelParallelStrategy"):
            raise UsageError(f"{name} cannot average sharded parameters. Remove it, or use ddp.")
        if restores_weights:
            raise UsageError(
                f"{name} does not follow restored weights (AccuracyGuarded, Weights). Remove one "
                "of them."
            )


def zero_averages(trainer: Trainer, module: LightningModule, masks: Masks) -> None:
    """Set pruned entries to zero in every average, which from then on averages zeros there.

    Its norms normalise over the channels that the model keeps.
    """
    averages = list(_averages(trainer, module))
    for average in averages:
        source = _source(average, module, averages, trained_parameters(trainer))
        if source is not None:
            follow(average, source)
            copies = dict(zip(source.parameters(), average.parameters(), strict=True))
            for mask in masks:
                if mask.parameter in copies:
                    mask.apply_to(copies[mask.parameter])


def _averages(trainer: Trainer, module: LightningModule) -> Iterator[nn.Module]:
    """Yield the averaged copies of modules that callbacks or the module itself have.

    Like torch's `AveragedModel` or timm's `ModelEma`, these are the attribute `module` of a module
    that has a method to update it; or the attribute `_average_model` of a callback of Lightning.
    """
    owners = (module, *trainer.callbacks)  # an attribute in `__dict__` is no submodule
    held = (value for owner in owners for value in vars(owner).values())
    for value in chain(module.modules(), held):
        updates = hasattr(value, "update_parameters") or hasattr(value, "update")
        average = getattr(value, "module", None)
        if isinstance(value, nn.Module) and updates and isinstance(average, nn.Module):
            yield average
    for callback in trainer.callbacks:
        average = getattr(callback, "_average_model", None)
        if isinstance(average, nn.Module) and is_a(average, "LightningModule"):
            yield average


def _source(
    average: nn.Module,
    module: LightningModule,
    averages: Sequence[nn.Module],
    trained: Set[nn.Parameter] | None,
) -> nn.Module | None:
    """Return the module or submodule that an average is a copy of; None if that is not clear.

    It has the same class and parameters and is trained; of several, it is the one with the nearest
    values. Two may be equally near before the first step.
    """
    shapes = _shapes(average)
    alike = [
        part
        for part in module.modules()
        if part not in averages
        and type(part) is type(average)
        and _shapes(part) == shapes
        and any(why_untrained(parameter, trained) is None for parameter in part.parameters())
    ]
    near = sorted((_distance(part, average), index) for index, part in enumerate(alike))
    if not near or (len(near) > 1 and near[0][0] == near[1][0]):
        return None
    return alike[near[0][1]]


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: parameter.shape for name, parameter in module.named_parameters()}


@torch.no_grad()
def _distance(one: nn.Module, other: nn.Module) -> float:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return sum(float((ours - theirs.to(ours)).square().sum()) for ours, theirs in pairs)
