"""The model before the first round: its sparsity and its metrics."""

from collections.abc import Sequence

from lightning import LightningModule, Trainer

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.sparsity import measure
from vitprune.training.probe import announce, validate_now
from vitprune.training.pruning.round_log import log_scalars
from vitprune.training.pruning.search import start
from vitprune.training.pruning.settings import PruningSettings
from vitprune.training.pruning.state import PruningState


def evaluate_dense(
    trainer: Trainer,
    module: LightningModule,
    layers: Sequence[Layer],
    settings: PruningSettings,
    state: PruningState,
) -> None:
    """Record sparsity and metrics of the model before the first round, and start a search there.

    Raises:
        UsageError: If validation does not log the monitored metric.

    """
    dense = measure(module, layers)
    state.dense_zeros = dense.zeros
    state.dense_sparsity = dense.prunable
    log_scalars(trainer, {"sparsity/target": 0.0, **dense.scalars()})
    if round(dense.prunable, 4):
        announce(f"{dense.prunable:.2%} of the prunable weights are already zero and are masked")
    if settings.monitor:
        state.dense = validate_now(trainer, module)
        _check_monitor(trainer, settings, state, settings.monitor)
        if settings.monitor in state.dense:
            announce(f"before pruning  {settings.monitor} {state.dense[settings.monitor]:.4f}")
    if settings.searches:
        highest = settings.method.highest_sparsity(layers)
        state.plan = start(settings.schedule, dense.prunable, highest)
    if state.search:
        state.search.keep(module)


def _check_monitor(
    trainer: Trainer, settings: PruningSettings, state: PruningState, monitor: str
) -> None:
    if trainer.barebones:
        raise UsageError("Trainer(barebones=True) logs no metrics. Set pruning.monitor to null.")
    needed = trainer.enable_validation or settings.searches
    if needed and monitor not in state.dense:
        raise UsageError(
            f"pruning.monitor {monitor!r} is not among the metrics that validation logs. Valid are "
            f"{', '.join(sorted(state.dense)) or 'none'}."
        )
