"""Private attributes and patched methods of Lightning and torchmetrics, and why each is needed."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lightning import LightningModule, Trainer
from torchmetrics import Metric


def is_a(value: object, name: str) -> bool:
    """Return whether a value's class, or one that it inherits from, has this name.

    Reason: `lightning` and `pytorch_lightning` have each class twice, and `isinstance` knows one.
    """
    return any(cls.__name__ == name for cls in type(value).__mro__)


def metric_state(metric: Metric) -> dict[str, Any]:
    """Return a copy of what a metric has accumulated.

    Reason: `Metric.state_dict` leaves out states that are not persistent, which is the default.
    """
    names = (*metric._defaults, "_update_count", "_computed")
    return {name: copy.deepcopy(metric.__dict__[name]) for name in names}


def restore_metric_state(metric: Metric, state: dict[str, Any]) -> None:
    """Restore what `metric_state` returned.

    Reason: as there.
    """
    metric.reset()
    metric.__dict__.update(state)


@contextmanager
def logging_to(
    module: LightningModule, log: Callable[..., None], log_dict: Callable[..., None]
) -> Iterator[None]:
    """Send what a module logs to other functions.

    Reason: `LightningModule.log` works only within the Trainer's loops, and would reach loggers.
    """
    module.log = log
    module.log_dict = log_dict
    try:
        yield
    finally:
        del module.log, module.log_dict


def before_batch_transfer(module: LightningModule, batch: Any) -> Any:
    """Run the module's and the data module's `on_before_batch_transfer` on a batch.

    Reason: the public hook of the module leaves out that of the data module.
    """
    return module._on_before_batch_transfer(batch, dataloader_idx=0)


def saves_shards(trainer: Trainer) -> bool:
    """Return whether checkpoints are folders of shards.

    Reason: the argument `save_distributed_checkpoint` has no public attribute.
    """
    strategy = trainer.strategy
    return is_a(strategy, "ModelParallelStrategy") and strategy._save_distributed_checkpoint


def leave_finished_epoch(trainer: Trainer) -> None:
    """Let a resumed run with `max_steps` start the next epoch if its last one was finished.

    Reason: Lightning treats every resume with `max_steps` as one within an epoch. After a finished
    epoch it would run an empty one and count it, so that the order of the images and the rounds
    would be one epoch off.
    """
    loop = trainer.fit_loop
    if loop.restarted_on_epoch_end:
        loop.epoch_progress.increment_completed()
        loop.reset_restart_stage()
        loop._restarting = False
        loop.epoch_loop.restarting = False
