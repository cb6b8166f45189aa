"""Evaluate a LightningModule during training without changing its state."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.utilities.data import extract_batch_size
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from lightning.pytorch.utilities.seed import isolate_rng
from lightning.pytorch.utilities.signature_utils import is_param_in_hook_signature
from torch import Tensor
from torchmetrics import Metric

from vitprune.errors import UsageError
from vitprune.pruning.masks.sharding import reshard
from vitprune.training.lightning_internals import (
    before_batch_transfer,
    logging_to,
    metric_state,
    restore_metric_state,
)


@torch.no_grad()
def validate_now(trainer: Trainer, module: LightningModule) -> dict[str, float]:
    """Return what the module's `validation_step` logs on the validation data, by name.

    Includes what it logs in `on_validation_epoch_end`. Torchmetrics are computed over all batches
    and ranks; plain values are averaged, weighted by batch size. Metrics are reset before and
    restored after; the mode of every submodule is restored; loggers and other callbacks are not
    called.
    """
    collected = _Collector()
    # a new iterator draws from the global generators
    with silenced(module, collected), isolate_rng():
        module.on_validation_epoch_start()
        for index, batch in enumerate(_batches(trainer)):
            collected.batch = to_device(trainer, module, batch)
            with trainer.precision_plugin.val_step_context():
                run_step(module.validation_step, collected.batch, index)
        collected.batch = None
        module.on_validation_epoch_end()
        return collected.results(trainer)


@contextmanager
def silenced(module: LightningModule, collected: "_Collector | None" = None) -> Iterator[None]:
    """Put a module into evaluation mode and collect what it logs.

    Afterwards its modes and its metrics are as before.
    """
    collected = collected or _Collector()
    modes = {name: child.training for name, child in module.named_modules()}
    metrics = [child for child in module.modules() if isinstance(child, Metric)]
    states = [(metric, metric_state(metric)) for metric in metrics]
    for metric in metrics:
        metric.reset()
    module.eval()
    try:
        with logging_to(module, collected.log, collected.log_dict):
            yield
    finally:
        reshard(module)
        for metric, state in states:
            restore_metric_state(metric, state)
        for name, child in module.named_modules():
            child.training = modes[name]


def run_step(step: Callable[..., Any], batch: Any, index: int) -> Any:
    """Run a module's step as Lightning does: with `batch_idx` only if the step takes it."""
    return (
        step(batch, index)
        if is_param_in_hook_signature(step, "batch_idx", min_args=2)
        else step(batch)
    )


def to_device(trainer: Trainer, module: LightningModule, batch: Any) -> Any:
    """Move a batch from a loader to the device, as a Trainer does."""
    batch = trainer.precision_plugin.convert_input(batch)
    batch = before_batch_transfer(module, batch)
    return trainer.strategy.batch_to_device(batch, dataloader_idx=0)


def _batches(trainer: Trainer) -> Iterator[Any]:
    """Yield the batches that a validation epoch would see.

    Raises:
        UsageError: If there are several loaders, as Lightning adds their numbers to the names.

    """
    if trainer.enable_validation:
        # not done yet if the first epochs are not validated
        trainer.fit_loop.epoch_loop.val_loop.setup_data()
    if not trainer.num_val_batches:
        return
    loaders = trainer.val_dataloaders
    if isinstance(loaders, list | tuple):
        if len(loaders) > 1:
            raise UsageError(
                f"pruning.monitor needs one validation loader, and there are {len(loaders)}. Set "
                "pruning.monitor to null."
            )
        loaders = loaders[0]
    limit = trainer.num_val_batches[0]
    yield from itertools.islice(loaders, None if limit == float("inf") else int(limit))


class _Collector:
    """A replacement of `LightningModule.log` that weights plain values in the same way.

    Attributes:
        batch: The batch that is being validated.

    """

    def __init__(self) -> None:
        self.batch: Any = None
        self.metrics: dict[str, Metric] = {}
        self.sums: dict[str, tuple[float, float]] = {}

    def log(self, name: str, value: Any, *_: Any, batch_size: int | None = None, **__: Any) -> None:
        if isinstance(value, Metric):
            self.metrics[name] = value
            return
        value = value.detach() if isinstance(value, Tensor) else value
        total, weight = self.sums.get(name, (0.0, 0.0))
        size = batch_size or (1 if self.batch is None else extract_batch_size(self.batch))
        self.sums[name] = (total + float(value) * size, weight + size)

    def log_dict(self, values: dict[str, Any], *_: Any, **options: Any) -> None:
        for name, value in values.items():
            self.log(name, value, **options)

    def results(self, trainer: Trainer) -> dict[str, float]:
        computed = {name: float(metric.compute()) for name, metric in self.metrics.items()}
        for name, sums in self.sums.items():
            total, weight = sum_over_ranks(
                trainer, torch.tensor(sums, dtype=torch.float64)
            ).tolist()
            computed[name] = total / weight
        return computed


def sum_over_ranks(trainer: Trainer, value: Tensor) -> Tensor:
    """Return the sum of a tensor over all ranks."""
    if trainer.world_size == 1:
        return value
    reduced = trainer.strategy.reduce(value.to(trainer.strategy.root_device), reduce_op="sum")
    assert isinstance(reduced, Tensor)
    return reduced.to(value.device)


@rank_zero_only
def announce(line: str) -> None:
    """Print a line above the progress bar, on rank 0."""
    print(line, flush=True)
