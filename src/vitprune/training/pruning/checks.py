"""What cannot work, found before anything is trained."""

import math
from collections.abc import Sequence

from lightning import Trainer
from torch import nn

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer, find_layers
from vitprune.pruning.granularity.grouping import Grouping
from vitprune.pruning.granularity.tied import tie
from vitprune.pruning.method import Method
from vitprune.pruning.regrow import RigL
from vitprune.pruning.schedules.schedule import TOLERANCE, Schedule
from vitprune.training.pruning.rewind import Rewind, Weights
from vitprune.training.pruning.steps import steps_per_epoch


def check_schedule(schedule: Schedule, method: Method) -> None:
    """Raise `UsageError` if a method cannot follow a schedule."""
    criterion = method.criterion
    method.granularity.check_sparsity(schedule.final_sparsity)
    if criterion.straight_through and schedule.begin == 0:
        raise UsageError(
            f"{type(criterion).__name__} scores what training did to the weights: let the first "
            f"round come after some of it, with begin_{schedule.unit} 1 or later."
        )


def check_between(
    schedule: Schedule, method: Method, rewind: Rewind | None, regrow: RigL | None
) -> None:
    """Raise `UsageError` if what happens between the rounds does not go with the rest."""
    criterion = method.criterion
    if isinstance(rewind, Weights) and schedule.observes:
        raise UsageError(
            f"{type(schedule).__name__} goes back to weights of its own: take LearningRate as "
            "pruning.rewind."
        )
    if isinstance(rewind, Weights) and criterion.updates_weights:
        raise UsageError(
            f"rewinding the weights undoes how {type(criterion).__name__} mends them: take "
            "LearningRate."
        )
    if regrow and (criterion.straight_through or criterion.updates_weights):
        raise UsageError(
            f"{type(criterion).__name__} already lets weights return or mends them: no "
            "pruning.regrow."
        )
    if regrow and (schedule.observes or schedule.rounds == 1):
        count = "does not know them" if schedule.observes else "has one"
        raise UsageError(
            f"regrow needs several rounds that are known beforehand, and {type(schedule).__name__} "
            f"{count}."
        )


def check_groupings(groupings: Sequence[Grouping], model: nn.Module) -> None:
    """Raise `UsageError` if `uniform` leaves out layers of the model."""
    tied = {
        layer.name: layer.role
        for grouping in groupings
        if grouping.tie
        for layer in grouping.layers
    }
    out = {
        layer.block
        for layer in find_layers(model)
        if layer.role in tied.values() and layer.name not in tied
    }
    if out:
        raise UsageError(
            "uniform keeps the same number of groups in every layer, so that plain transformers "
            "loads the shrunk model, but pruning.layers leaves out the blocks "
            f"{sorted(block for block in out if block is not None)}, which keep all. Prune every "
            "block, or set uniform to false."
        )


def check_regrow(groupings: Sequence[Grouping], regrow: RigL, schedule: Schedule) -> None:
    """Raise `UsageError` if single groups of these groupings cannot grow back, or in no round a whole
    one would.

    What spans several layers has no gradient once it is zero in all of them: nothing goes in, and
    nothing is made of it.
    """
    if any(grouping.pattern or len(grouping.parts) > 1 for grouping in groupings):
        raise UsageError(
            "regrow needs groups of a single layer that stand alone: no NofM, Neuron, Head or "
            "HeadDim."
        )
    rounds, most = range(1, schedule.rounds + 1), max(grouping.groups for grouping in groupings)
    share = max(
        regrow.share(round, schedule.rounds) * (1 - schedule.sparsity(round)) for round in rounds
    )
    if int(share * most) == 0:
        raise UsageError(
            f"regrow exchanges at most {share:.1%} of a layer's groups, and these layers have "
            f"{most} at most: less than one. Take a larger regrow.fraction, more rounds or smaller "
            "groups."
        )


def check_epochs(schedule: Schedule, trainer: Trainer) -> None:
    """Raise `UsageError` if training ends before the last round, unless this is a dry run."""
    end, epochs = schedule.end, trainer.max_epochs
    if (
        not trainer.fast_dev_run
        and schedule.unit == "epoch"
        and epochs not in (-1, None)
        and end >= epochs
    ):
        raise UsageError(
            f"the last pruning round is due at the start of epoch {end} (counted from 0), but "
            f"training ends after trainer.max_epochs {epochs}: no epoch would be left to fine-tune "
            f"at the final sparsity. Set max_epochs to at least {end + 1}, or let the schedule end "
            "earlier."
        )


def check_observing(schedule: Schedule, trainer: Trainer) -> None:
    """Raise `UsageError` if a schedule that follows the metric would decide within an epoch, at whose end alone is saved."""
    interval = getattr(
        trainer, "val_check_interval", None
    )  # none of a time; an int counts batches, a float epochs
    if schedule.observes and (interval != 1 or isinstance(interval, int)):
        raise UsageError(
            f"{type(schedule).__name__} decides after each epoch: trainer.val_check_interval must "
            "be 1.0, a whole epoch."
        )


def check_total(method: Method, layers: Sequence[Layer], schedule: Schedule) -> None:
    """Raise `UsageError` if the schedule's sparsity is not that of the layers together, or cannot be reached."""
    groupings = method.granularity.groupings(layers)
    total = None if schedule.observes else method.allocation.fixed_sparsity(groupings)
    if total is not None and abs(total - schedule.final_sparsity) > TOLERANCE:
        raise UsageError(
            f"the sparsities of PerLayer come to {total:.4f} of all weights, and the schedule's "
            f"final_sparsity is {schedule.final_sparsity:g}: make it {total:.4f}, or change theirs."
        )
    schedule.keep_within(method.allocation.highest_sparsity(tie(groupings)))


def check_steps(schedule: Schedule, trainer: Trainer) -> None:
    """Raise `UsageError` if training ends before the last round, now that the number of steps is known."""
    end, steps = schedule.end, trainer.estimated_stepping_batches
    in_epochs = schedule.unit == "epoch"
    if (
        trainer.fast_dev_run
        or steps in (-1, math.inf)
        or (in_epochs and math.isinf(trainer.num_training_batches))
    ):
        return
    if in_epochs:
        end *= steps_per_epoch(trainer)
    if end >= steps:
        raise UsageError(
            f"the last pruning round is due before optimizer step {end}, but training ends after "
            f"{steps} steps: none would be left to fine-tune at the final sparsity. Train longer, "
            "or let the schedule end earlier."
        )
