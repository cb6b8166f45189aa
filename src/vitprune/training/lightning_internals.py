"""Private attributes and patched methods of Lightning and torchmetrics, and why each is needed."""

from collections import ChainMap, defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torchmetrics import Metric

from vitprune.training.restoring import generators_restored

# Hooks of callbacks that decide about the run or measure it, by name of the class, so that those of
# `lightning` and `pytorch_lightning` are found, and those of Optuna and Ray without an import.
VALIDATION_HOOKS = [name for name in dir(Callback) if name.startswith("on_validation_")]
DECIDING = {
    "Checkpoint": VALIDATION_HOOKS,
    "EarlyStopping": VALIDATION_HOOKS,
    "IterativePruning": ["on_validation_end"],
    "PyTorchLightningPruningCallback": VALIDATION_HOOKS,
    "ThroughputMonitor": VALIDATION_HOOKS,
    "TuneCallback": VALIDATION_HOOKS,
}


def is_a(value: object, name: str) -> bool:
    """Return whether a value's class, or one of its base classes, has this name.

    Reason: `lightning` and `pytorch_lightning` define each class separately, so that `isinstance`
    with a class of one is false for an object of the other.
    """
    return any(cls.__name__ == name for cls in type(value).__mro__)


@contextmanager
def temporary(owner: object, **values: Any) -> Iterator[None]:
    """Set attributes of an object temporarily.

    Reason: attributes of an instance take precedence over the methods and hooks of its class.
    """
    before = {name: vars(owner)[name] for name in values if name in vars(owner)}
    for name, value in values.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name in values:
            vars(owner).pop(name, None)
        vars(owner).update(before)


def nothing(*_: Any, **__: Any) -> None:
    """Take the place of a method or hook that must not run."""


def unlogged(module: LightningModule) -> AbstractContextManager[None]:
    """Discard what a module logs.

    Reason: `LightningModule.log` works only within the Trainer's loops, and would reach loggers.
    """
    return temporary(module, log=nothing, log_dict=nothing)


@contextmanager
def silent_loggers(trainer: Trainer) -> Iterator[None]:
    """Disable the `log_` methods of loggers; their `experiment` stays usable.

    Reason: without loggers, modules that use `self.logger` would fail.
    """
    with ExitStack() as stack:
        for logger in trainer.loggers:
            kind = type(logger)
            names = [name for name in dir(kind) if name.startswith("log_")]
            methods = dict.fromkeys([n for n in names if callable(getattr(kind, n))], nothing)
            stack.enter_context(temporary(logger, **methods))
        yield


@contextmanager
def silent_callbacks(trainer: Trainer) -> Iterator[None]:
    """Disable the validation hooks of callbacks that decide about the run or measure it.

    Reason: `trainer.callbacks` itself must not change, since other code looks callbacks up in it.
    """
    with ExitStack() as stack:
        for callback in trainer.callbacks:
            for kind in type(callback).__mro__:
                hooks = dict.fromkeys(DECIDING.get(kind.__name__, []), nothing)
                stack.enter_context(temporary(callback, **hooks))
        yield


def own_callbacks(trainer: Trainer) -> list[Callback]:
    """Return the callbacks that are not derived from one of Lightning's, except `Callback`.

    Reason: those of Lightning need no restoring, and progress bars must follow the screen.
    """
    packages = ("lightning", "pytorch_lightning")
    return [
        callback
        for callback in trainer.callbacks
        if all(
            kind.__name__ == "Callback"
            or (kind.__module__.partition(".")[0] not in packages and kind.__name__ not in DECIDING)
            for kind in type(callback).__mro__
        )
    ]


def validate(trainer: Trainer) -> dict[str, Tensor]:
    """Run the validation loop of `fit` between two training steps, and return what it logs.

    Afterwards progress, metrics and state of the Trainer are as before.

    Reason: `Trainer.validate` cannot run within `fit`, and the loop has no public interface.
    """
    loop = trainer.fit_loop.epoch_loop.val_loop
    loop.setup_data()  # not done yet if the first epochs are not validated; the loaders stay
    if loop.skip:
        return {}
    connector = trainer._logger_connector
    logged: dict[str, Tensor] = {}
    with (
        generators_restored(loop._combined_loader.flattened),  # the training may share them
        temporary(trainer.state, stage=trainer.state.stage),
        temporary(
            trainer,
            should_stop=trainer.should_stop,
            _last_val_time=getattr(trainer, "_last_val_time", 0.0),
        ),
        temporary(
            loop,
            batch_progress=type(loop.batch_progress)(),
            _seen_batches_per_dataloader=defaultdict(int),
            _has_run=False,
            _restarting=False,
            _restart_stage=loop._restart_stage,
        ),
        temporary(
            connector,
            _callback_metrics=ChainMap(logged, connector._callback_metrics),
            _logged_metrics=dict(connector._logged_metrics),
            _progress_bar_metrics=dict(connector._progress_bar_metrics),
            _first_loop_iter=None,
            _current_fx=None,
        ),
    ):
        trainer.validating = True
        loop.run()
    return logged


def before_batch_transfer(module: LightningModule, batch: Any) -> Any:
    """Run the module's and the data module's `on_before_batch_transfer` on a batch.

    Reason: the public hook of the module leaves out that of the data module.
    """
    return module._on_before_batch_transfer(batch, dataloader_idx=0)


def set_update_count(metric: Metric, count: int) -> None:
    """Set the number of updates of a metric.

    Reason: it is public to read only, and a metric without updates refuses to be computed.
    """
    metric._update_count = count


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
