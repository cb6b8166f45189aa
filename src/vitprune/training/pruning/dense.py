"""The model before the first round: its sparsity and its metrics."""

from lightning import LightningModule, Trainer

from vitprune.errors import UsageError
from vitprune.pruning.budget.costs import Costs
from vitprune.pruning.masks import Masks
from vitprune.pruning.sparsity import measure
from vitprune.training.probe import announce, validate_now
from vitprune.training.pruning.round_log import log_scalars
from vitprune.training.pruning.search import start
from vitprune.training.pruning.settings import PruningSettings
from vitprune.training.pruning.state import PruningState


def evaluate_dense(
    trainer: Trainer,
    module: LightningModule,
    masks: Masks,
    settings: PruningSettings,
    state: PruningState,
    budget: Costs | None,
) -> None:
    """Record sparsity and metrics of the model before the first round; start a search with them.

    Raises:
        UsageError: If validation does not log the monitored metric.

    """
    dense = measure(module, masks.layers)
    state.dense_zeros = dense.zeros
    state.dense_sparsity = dense.prunable
    log_scalars(trainer, state.number, {"sparsity/target": 0.0, **dense.scalars()})
    if pruned := masks.pruned_fraction():
        announce(f"{pruned:.2%} of the weights to prune are zero already, and count as pruned")
    if settings.monitor:
        state.dense = validate_now(trainer, module)
        _check_monitor(trainer, settings, state, settings.monitor)
        if settings.monitor in state.dense:
            announce(f"before pruning {settings.monitor} {state.dense[settings.monitor]:.4f}")
    if settings.searches:
        highest = settings.method.highest_sparsity(masks.layers, budget)
        first = dense.prunable if budget is None else 0.0
        state.plan = start(settings.schedule, first, highest)
    if state.search:
        state.search.keep(module, masks)


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
