"""Checks that refuse impossible settings before training starts."""

import math
from collections.abc import Sequence

from lightning import LightningModule, Trainer
from torch import nn

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer, find_layers
from vitprune.pruning.criteria.recording import check_observable
from vitprune.pruning.granularity.grouping import Grouping
from vitprune.pruning.method import Method
from vitprune.pruning.regrow import RigL
from vitprune.pruning.schedules.schedule import Schedule
from vitprune.pruning.trained import why_untrained
from vitprune.training.launchers import check_launcher
from vitprune.training.lightning_internals import is_a
from vitprune.training.pruning.accuracy_guarded import Plan
from vitprune.training.pruning.calibration import check_training_step
from vitprune.training.pruning.settings import PruningSettings
from vitprune.training.pruning.steps import steps_per_epoch
from vitprune.training.pruning.weight_averages import check_weight_averaging
from vitprune.training.trained import trained_parameters


def check_layers(settings: PruningSettings, layers: Sequence[Layer], model: nn.Module) -> None:
    """Raise `UsageError` if the settings do not fit these layers of a model."""
    settings.method.check(layers)
    groupings = settings.method.granularity.groupings(layers)
    _check_loadable(groupings, model)
    if settings.regrow:
        check_observable(layers)
    if settings.regrow and isinstance(settings.schedule, Schedule):
        _check_regrow(groupings, settings.regrow, settings.schedule)


def check_training(
    settings: PruningSettings,
    layers: Sequence[Layer],
    trainer: Trainer,
    module: LightningModule,
) -> None:
    """Raise `UsageError` if these layers cannot be pruned as scheduled in this training."""
    check_launcher(trainer)
    check_weight_averaging(trainer, restores_weights=settings.restores_weights)
    if settings.calibrates:
        check_training_step(module)
    if settings.method.criterion.straight_through:
        _check_trained(settings.method, layers, trainer)
    _check_method(settings.method, settings.schedule)
    _check_optimizers(settings.method, trainer)
    _check_epochs(settings.schedule, trainer)
    if isinstance(settings.schedule, Schedule):
        _check_final_sparsity(settings.method, layers, settings.schedule)
    else:
        _check_validation_interval(trainer)


def check_disjoint(layers: Sequence[Layer], others: Sequence[Layer]) -> None:
    """Raise `UsageError` if two pruning callbacks prune the same weight."""
    pruned = {id(layer.weight) for layer in others}
    shared = [layer.name for layer in layers if id(layer.weight) in pruned]
    if shared:
        raise UsageError(
            f"two pruning callbacks prune {', '.join(shared)}. Give each its own layers by "
            "LayerSelection(names=...) or LayerSelection(exclude=...)."
        )


def check_steps(plan: Plan, trainer: Trainer) -> None:
    """Raise `UsageError` if the known number of steps ends before the last round."""
    end, steps = plan.end, trainer.estimated_stepping_batches
    in_epochs = plan.unit == "epoch"
    endless = in_epochs and math.isinf(trainer.num_training_batches)
    if trainer.fast_dev_run or steps in (-1, math.inf) or endless:
        return
    if in_epochs:
        end *= steps_per_epoch(trainer)
    if end >= steps:
        raise UsageError(
            f"the last pruning round is due before optimizer step {end}, but training ends after "
            f"{steps} steps, so that none is left to fine-tune at the final sparsity. Train "
            "longer, or decrease pruning.schedule.end."
        )


def _check_method(method: Method, plan: Plan) -> None:
    """Raise `UsageError` if a method cannot follow a plan."""
    if isinstance(plan, Schedule):
        method.check_target(plan.final_sparsity)
    if not method.budget.has_target:
        method.granularity.check_sparsity(plan.last_sparsity)
    if method.criterion.straight_through and plan.begin == 0:
        raise UsageError(
            f"{type(method.criterion).__name__} scores how training changed the weights, so the "
            "first round must come later. Set pruning.schedule.begin to 1 or more."
        )


def _check_final_sparsity(method: Method, layers: Sequence[Layer], schedule: Schedule) -> None:
    """Raise `UsageError` if the layers cannot be pruned that far.

    What a budget of structure allows is checked as soon as its costs are known.
    """
    if not method.budget.is_physical:
        method.check_sparsity(layers, schedule.last_sparsity)


def _check_trained(method: Method, layers: Sequence[Layer], trainer: Trainer) -> None:
    """Raise `UsageError` if a criterion that observes training is given weights without it."""
    trained = trained_parameters(trainer)
    for layer in layers:
        if reason := why_untrained(layer.weight, trained):
            raise UsageError(
                f"{type(method.criterion).__name__} scores how training changes the weights, and "
                f"{layer.name} is not trained ({reason}). Exclude it, or use another criterion."
            )


def _check_optimizers(method: Method, trainer: Trainer) -> None:
    """Raise `UsageError` if an optimizer runs the model within its step, when weights are dense."""
    for optimizer in trainer.optimizers:
        if method.criterion.straight_through and is_a(optimizer, "LBFGS"):
            raise UsageError(
                "LBFGS runs the model several times in each step, which "
                f"{type(method.criterion).__name__} does not support. Use another optimizer, or "
                "another criterion."
            )


def _check_loadable(groupings: Sequence[Grouping], model: nn.Module) -> None:
    """Raise `UsageError` if `loadable` leaves out layers of the model."""
    tied = {
        layer.name: layer.role
        for grouping in groupings
        if grouping.tie
        for layer in grouping.layers
    }
    out = {
        layer.block
        for layer in find_layers(model)
        if layer.role in tied.values() and layer.name not in tied and layer.block is not None
    }
    if out:
        raise UsageError(
            "loadable keeps the same share of groups in every layer, so that plain transformers "
            f"loads the shrunk model, but pruning.layers leaves out the blocks {sorted(out)}. "
            "Prune every block, or set loadable to false."
        )


def _check_regrow(groupings: Sequence[Grouping], regrow: RigL, schedule: Schedule) -> None:
    """Raise `UsageError` if no group can regrow.

    Groups of several layers cannot: once all their weights are zero, their gradients are, too.
    """
    if any(grouping.pattern or len(grouping.parts) > 1 for grouping in groupings):
        raise UsageError(
            "regrow needs groups of a single layer that are pruned independently; NofM, Neuron, "
            "Head and HeadDim are not supported."
        )
    rounds = range(1, schedule.rounds + 1)
    most = max(grouping.groups for grouping in groupings)
    share = max(
        regrow.share(round, schedule.rounds) * (1 - schedule.sparsity(round)) for round in rounds
    )
    if int(share * most) == 0:
        raise UsageError(
            f"regrow exchanges at most {share:.1%} of a layer's groups, and these layers have at "
            f"most {most} groups, so that none is exchanged. Use a larger regrow.fraction, more "
            "rounds or smaller groups."
        )


def _check_epochs(plan: Plan, trainer: Trainer) -> None:
    """Raise `UsageError` if training ends before the last round, unless this is a dry run."""
    epochs = trainer.max_epochs
    if trainer.fast_dev_run or plan.unit != "epoch" or epochs in (-1, None):
        return
    if plan.end >= epochs:
        raise UsageError(
            f"the last pruning round is due at the start of epoch {plan.end} (counted from 0), but "
            f"training ends after trainer.max_epochs {epochs}, so that no epoch is left to "
            f"fine-tune at the final sparsity. Set trainer.max_epochs to at least {plan.end + 1}, "
            "or decrease pruning.schedule.end."
        )


def _check_validation_interval(trainer: Trainer) -> None:
    """Raise `UsageError` if a search would decide within an epoch: only epoch ends are saved."""
    # absent for an interval in time; an int counts batches, a float epochs
    interval = getattr(trainer, "val_check_interval", None)
    if interval != 1 or isinstance(interval, int):
        raise UsageError(
            "AccuracyGuarded decides after each epoch. Set trainer.val_check_interval to 1.0."
        )
