"""One pruning round: update the masks during training, and record the result."""

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

from lightning import LightningModule, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch import Tensor

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.allocation.search import Search
from vitprune.pruning.budget.costs import Costs
from vitprune.pruning.budget.shares import shares_in
from vitprune.pruning.compensation.moments import InputMoments
from vitprune.pruning.criteria.calibration import Observer
from vitprune.pruning.criteria.taylor import Taylor
from vitprune.pruning.masks import Masks
from vitprune.pruning.masks.sharding import reshard
from vitprune.pruning.reconstruct import reconstructed
from vitprune.pruning.regrow import Exchange, resetting_optimizers
from vitprune.pruning.schedules.schedule import Schedule
from vitprune.pruning.sparsity import measure
from vitprune.pruning.update import update_masks
from vitprune.training.lightning_internals import is_a
from vitprune.training.probe import announce, validate_now
from vitprune.training.pruning.calibration import (
    calibrate_on,
    calibration_batches,
    sum_over_ranks,
)
from vitprune.training.pruning.rate_search import find_rates
from vitprune.training.pruning.round_log import end_round, is_long, log_scalars, prefix
from vitprune.training.pruning.rounds import Round
from vitprune.training.pruning.settings import PruningSettings
from vitprune.training.pruning.state import PruningState
from vitprune.training.pruning.weight_averages import zero_averages


def prune_round(
    trainer: Trainer,
    module: LightningModule,
    masks: Masks,
    settings: PruningSettings,
    state: PruningState,
    due: int,
    costs: Mapping[str, Costs],
) -> None:
    """Prune to the target of round `due`; earlier rounds that are not done are recorded with it."""
    reshard(module)
    masks.check()
    logged = settings.validates_after_pruning or is_long(trainer, state.rounds)
    if logged:
        end_round(trainer, masks.layers, state, settings)
    if state.search and state.search.retreating:
        state.search.return_to_good(trainer, module, masks)
    if due > len(state.rounds) + 1:
        first = len(state.rounds) + 1
        announce(f"{prefix(state.number)}rounds {first} to {due} are due; pruning to round {due}")
    target = state.plan.sparsity(due)
    emptied = _empty(masks)
    budget = costs.get(settings.method.budget.unit)
    _update_masks(trainer, module, masks, settings, state, due, budget)
    _clear_directions(trainer)
    if settings.rewind:
        with masks.changing():  # so that the dense values of pruned entries are rewound, too
            settings.rewind.rewind(trainer, module, state.early_weights)
    _warn_of_empty(_empty(masks) - emptied, settings)
    zero_averages(trainer, module, masks)
    reached = measure(module, masks.layers)
    metrics = validate_now(trainer, module) if settings.validates_after_pruning else {}
    pruned = metrics.get(settings.monitor or "")
    shares = shares_in(masks, settings.method.granularity)
    removed = reached.prunable if budget is None else budget.removed(shares)
    left = {unit: cost.at(shares) for unit, cost in costs.items()}
    for number in range(len(state.rounds) + 1, due + 1):
        state.rounds.append(
            Round(
                round=number,
                epoch=trainer.current_epoch,
                step=trainer.global_step,
                target=target,
                sparsity=reached.prunable,
                removed=removed,
                left=left,
                pruned=pruned,
            )
        )
    if logged:
        after_pruning = {} if pruned is None else {"round/after_pruning": pruned}
        left_over = {f"left/{unit}": cost for unit, cost in left.items()}
        scalars = {
            "sparsity/target": target,
            **reached.scalars(),
            **left_over,
            **after_pruning,
        }
        log_scalars(trainer, state.number, scalars)


def _empty(masks: Masks) -> set[str]:
    """Return the names of the layers without kept weights."""
    return {layer.name for layer in masks.layers if not masks[layer.weight].any()}


def _warn_of_empty(names: Set[str], settings: PruningSettings) -> None:
    """Warn that whole layers are pruned, unless that is what the granularity does."""
    if names and not settings.method.granularity.ranked_together:
        rank_zero_warn(
            f"all weights of {', '.join(sorted(names))} are pruned: the outputs no longer depend "
            "on the inputs. Exclude these layers by pruning.layers.exclude, or set "
            "pruning.allocation.min_density."
        )


def record_metric(
    trainer: Trainer,
    module: LightningModule,
    masks: Masks,
    settings: PruningSettings,
    state: PruningState,
) -> None:
    """Record the metric of a validation, and let a search decide about the next round."""
    value = trainer.callback_metrics.get(settings.monitor or "")
    if settings.monitor is None or value is None:
        return
    # the same on every rank, or the ranks would decide differently
    metric = float(trainer.strategy.reduce(value.detach().clone(), reduce_op="mean"))
    if state.rounds:
        state.rounds[-1].finetuned = metric
    if state.search and state.rounds:
        state.search.judge(trainer, module, masks, metric, state.dense[settings.monitor])
    elif state.search:  # fine-tuning before the first round can improve the dense model
        state.dense[settings.monitor] = max(metric, state.dense[settings.monitor])
        state.search.keep(module, masks)


def _clear_directions(trainer: Trainer) -> None:
    """Empty the state of LBFGS, whose past directions include the entries that are pruned now.

    It follows them within a step, so that the model would run with these entries.
    """
    for optimizer in trainer.optimizers:
        if is_a(optimizer, "LBFGS"):
            optimizer.state.clear()


def _update_masks(
    trainer: Trainer,
    module: LightningModule,
    masks: Masks,
    settings: PruningSettings,
    state: PruningState,
    round: int,
    costs: Costs | None,
) -> None:
    """Update the masks in place, with calibration statistics or those accumulated so far."""

    def calibrated(observer: Observer, layers: Sequence[Layer]) -> dict[str, Tensor]:
        return calibrate_on(
            trainer, module, observer, layers, settings.calibration_images, settings.seed
        )

    method = settings.method
    if state.rates:
        method = method.with_rates(state.rates)
    statistics = state.statistics
    if method.criterion.calibrated:
        statistics = calibrated(method.criterion, masks.layers)
    moments: dict[str, Tensor] = {}
    if method.compensates:
        moments = calibrated(InputMoments(), method.compensating(masks.layers))
    exchange = None
    resetting: AbstractContextManager[None] = nullcontext()
    if settings.regrow and settings.schedule.rounds:
        has_gradients = method.criterion.observes_gradient
        gradients = statistics if has_gradients else calibrated(Taylor(), masks.layers)
        exchange = Exchange(settings.regrow.share(round, settings.schedule.rounds), gradients)
        resetting = resetting_optimizers(masks, trainer.optimizers)
    update = partial(
        update_masks,
        round=round,
        seed=settings.seed,
        statistics=statistics,
        costs=costs,
        moments=moments,
    )
    if isinstance(method.allocation, Search):
        assert isinstance(state.plan, Schedule)  # `PruningSettings` refuses others
        final = partial(update, sparsity=state.plan.last_sparsity)
        state.rates = find_rates(trainer, module, masks, settings, final, state.number)
        method = method.with_rates(state.rates)
    reconstructing: AbstractContextManager[None] = nullcontext()
    if method.criterion.in_order:
        reconstructing = _reconstructed(trainer, module, masks, settings)
    with resetting, reconstructing:
        update(masks, method, state.plan.sparsity(round), exchange=exchange)


@contextmanager
def _reconstructed(
    trainer: Trainer, module: LightningModule, masks: Masks, settings: PruningSettings
) -> Iterator[None]:
    """Fit the remaining weights on calibration images after an update; see `reconstructed`."""
    reduce = partial(sum_over_ranks, trainer)
    images = settings.calibration_images
    with (
        calibration_batches(trainer, module, images, settings.seed) as batches,
        reconstructed(module, masks, list(batches), reduce),
    ):
        yield
