"""Evaluate a LightningModule during training without changing the training."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from lightning.pytorch.utilities.seed import isolate_rng
from torchmetrics import Metric

from vitprune.model.evaluation_mode import begin_evaluation
from vitprune.pruning.masks.sharding import reshard
from vitprune.training.lightning_internals import (
    own_callbacks,
    silent_callbacks,
    silent_loggers,
    unlogged,
    validate,
)
from vitprune.training.restoring import (
    attributes_restored,
    learning_rates_restored,
    tensors_restored,
)


def validate_now(trainer: Trainer, module: LightningModule) -> dict[str, float]:
    """Run Lightning's validation loop, and return the metrics it logs, by name.

    All hooks of the module and of the callbacks run, except those of callbacks that decide about
    the run or measure it (`DECIDING`). Nothing is written to loggers. Afterwards random generators,
    metrics, the Trainer, and the attributes of the module and of the user's callbacks are as
    before.

    Returns:
        The mean over the ranks of each metric, by name; empty without validation.

    """
    if not trainer.enable_validation:
        return {}
    with (
        undisturbed(trainer, module),
        silent_callbacks(trainer),
        attributes_restored(own_callbacks(trainer)),
    ):
        logged = validate(trainer)
        return _mean_over_ranks({name: float(value) for name, value in logged.items()})


@contextmanager
def undisturbed(trainer: Trainer, module: LightningModule) -> Iterator[None]:
    """Restore on exit what steps and hooks of a module change, except parameters.

    These are random generators, metrics, modes (training or evaluation), buffers and other
    attributes of the module, learning rates and their schedulers. Metrics are empty on entry, and
    loggers are silent.
    """
    with (
        isolate_rng(),  # a new iterator of a DataLoader draws from the global generators
        silent_loggers(trainer),
        learning_rates_restored(trainer),
        tensors_restored(module.buffers()),
        _state_restored(module),
    ):
        yield


@contextmanager
def silenced(module: LightningModule) -> Iterator[None]:
    """Put a module into evaluation mode and discard what it logs.

    On exit its modes, metrics and other attributes are restored.
    """
    with _state_restored(module), unlogged(module):
        begin_evaluation(module)
        yield


@contextmanager
def _state_restored(module: LightningModule) -> Iterator[None]:
    """Restore metrics, modes and other attributes on exit; metrics are empty on entry."""
    with attributes_restored(module.modules()):
        for child in module.modules():
            if isinstance(child, Metric):
                child.reset()
        try:
            yield
        finally:
            reshard(module)


def _mean_over_ranks(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the mean of each metric over the ranks that logged it."""
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return dict(metrics)
    found: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(found, metrics)
    values: dict[str, list[float]] = {}
    for logged in found:
        for name, value in logged.items():
            values.setdefault(name, []).append(value)
    return {name: sum(each) / len(each) for name, each in values.items()}


@rank_zero_only
def announce(line: str) -> None:
    """Print a line above the progress bar, on rank 0."""
    print(line, flush=True)
