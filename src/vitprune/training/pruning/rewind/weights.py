"""Weight rewinding."""

from lightning import LightningModule, Trainer

from vitprune.errors import UsageError
from vitprune.pruning.masks.sharding import restore, snapshot
from vitprune.training.pruning.accuracy_guarded import Plan
from vitprune.training.pruning.rewind.learning_rate import LearningRate
from vitprune.training.pruning.rewind.rewind import EarlyWeights
from vitprune.training.pruning.steps import steps_per_epoch


class Weights(LearningRate):
    """Restore all parameters to early values after each round, and restart the learning rate.

    The lottery ticket with late rewinding. Optimizer states are emptied, too.

    Source: Frankle et al. 2019.

    Cost: a copy of the parameters, in memory and in checkpoints.

    Args:
        step: Number of optimizer steps after which the values to restore are saved; 0 saves the
            initial ones.

    """

    restores_weights = True

    def __init__(self, step: int = 0) -> None:
        if step < 0:
            raise UsageError(f"step of Weights must be at least 0, not {step}.")
        self.step = step

    def prepare(self, trainer: Trainer, plan: Plan) -> None:
        """See the base class; the early values must be saved before the first round."""
        super().prepare(trainer, plan)
        first = plan.begin * (steps_per_epoch(trainer) if plan.unit == "epoch" else 1)
        if self.step > first:
            raise UsageError(
                f"Weights saves the parameters after step {self.step}, but the first round is due "
                f"after step {first}. Decrease step, or increase pruning.schedule.begin."
            )

    def keep(self, trainer: Trainer, module: LightningModule, early: EarlyWeights) -> None:
        """Save the parameters once, after `step` optimizer steps."""
        if not early and trainer.global_step >= self.step:
            early.update(snapshot(dict(module.named_parameters())))

    def rewind(self, trainer: Trainer, module: LightningModule, early: EarlyWeights) -> None:
        """Restore the early values, also of pruned weights: the caller sets these to zero."""
        restore(dict(module.named_parameters()), early)
        for optimizer in trainer.optimizers:
            optimizer.state.clear()
