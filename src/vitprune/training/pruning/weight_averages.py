"""Averages of the weights over training steps, whose pruned entries must be zero as well."""

from collections.abc import Iterator
from itertools import chain

from lightning import LightningModule, Trainer
from torch import nn

from vitprune.errors import UsageError
from vitprune.pruning.masks import Masks
from vitprune.training.lightning_internals import is_a


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
    """Set pruned entries to zero in every average; from then on they average zeros."""
    for average in _averages(trainer, module):
        source = _source(average, module)
        if source is not None:
            copies = dict(zip(source.parameters(), average.parameters(), strict=True))
            for mask in masks:
                if mask.parameter in copies:
                    mask.zero_copy(copies[mask.parameter])


def _averages(trainer: Trainer, module: LightningModule) -> Iterator[nn.Module]:
    """Yield the copies of modules that hold averages, of the callbacks and of the module.

    An average is what torch's `AveragedModel` and the likes of timm's `ModelEma` are: a module with
    the copy as `module` and a method to update it; or the copy in a callback of Lightning.
    """
    held = (value for callback in trainer.callbacks for value in vars(callback).values())
    for value in chain(module.modules(), held):
        updates = hasattr(value, "update_parameters") or hasattr(value, "update")
        average = getattr(value, "module", None)
        if isinstance(value, nn.Module) and updates and isinstance(average, nn.Module):
            yield average
    for callback in trainer.callbacks:
        average = getattr(callback, "_average_model", None)
        if isinstance(average, nn.Module) and not hasattr(average, "module"):
            yield average


def _source(average: nn.Module, module: LightningModule) -> nn.Module | None:
    """Return the part of a module that an average is a copy of; None if there is none."""
    names = [name for name, _ in average.named_parameters()]
    for part in module.modules():
        ours = [name for name, _ in part.named_parameters()]
        if part is not average and type(part) is type(average) and ours == names:
            return part
    return None
