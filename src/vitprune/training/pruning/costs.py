"""What the model of a training costs, in the currency of its budget and in others."""

from collections.abc import Iterable, Sequence

from lightning import LightningModule, Trainer
from torch import nn

from vitprune.model.anatomy.layers import Layer
from vitprune.model.evaluation_mode import begin_evaluation
from vitprune.pruning.budget import FLOPs, Parameters
from vitprune.pruning.budget.costs import Costs
from vitprune.pruning.method import Method
from vitprune.pruning.schedules.schedule import Schedule
from vitprune.training.lightning_internals import unlogged
from vitprune.training.probe import undisturbed
from vitprune.training.pruning.calibration import loss_on, training_batches
from vitprune.training.restoring import tensors_restored


def costs_on(
    trainer: Trainer, module: LightningModule, method: Method, layers: Iterable[Layer], seed: int
) -> dict[str, Costs]:
    """Return what the model costs, by unit: that of the budget, FLOPs and parameters.

    Empty if the budget is the number of weights, and every weight is in one group only.

    Args:
        trainer: Its training data give the images on which FLOPs are counted.
        module: The module that is trained. What counts is the child that holds all pruned layers,
            or the whole module if there is none.
        method: How the layers are pruned.
        layers: The layers to prune.
        seed: Seed that selects the images.

    Raises:
        UsageError: If FLOPs are counted and training data cannot be indexed.

    """
    pruned = list(layers)
    groupings = method.granularity.groupings(pruned)
    part = _part_of(module, pruned)

    def run() -> None:
        with (
            undisturbed(trainer, module),
            unlogged(module),
            tensors_restored([each for each in module.parameters() if not each.requires_grad]),
        ):
            begin_evaluation(module)
            batch, _ = next(training_batches(trainer, module, 1, seed))
            loss_on(trainer, module, batch)

    budgets = [FLOPs(), Parameters()] if method.budget.is_physical else []
    found = {
        each.unit: each.costs(module, groupings, run, part) for each in (method.budget, *budgets)
    }
    return {unit: costs for unit, costs in found.items() if costs is not None}


def within_budget(
    schedule: Schedule, method: Method, layers: Sequence[Layer], costs: Costs | None
) -> Schedule:
    """Return a schedule that ends where the budget asks for.

    Args:
        schedule: A schedule with a final sparsity, or without one if the budget has a target.
        method: How the layers are pruned.
        layers: The layers to prune.
        costs: What the model costs in the currency of the budget; None if it is the number of
            weights in its groups.

    Raises:
        UsageError: If these layers cannot be pruned that far.

    """
    final = method.fraction(schedule.final_sparsity, costs)
    method.check_sparsity(layers, final, costs)
    return schedule.reaching(final)


def _part_of(module: nn.Module, layers: Iterable[Layer]) -> str:
    """Return the name of the child that holds all of these layers; "" for the module itself."""
    names = [layer.name for layer in layers]
    for name, _ in module.named_children():
        if all(layer.startswith(f"{name}.") for layer in names):
            return name
    return ""
