"""When: the callback that prunes round by round and keeps the masks active while a model trains."""

import os
from typing import Any, final

from lightning import Callback, LightningModule, Trainer
from torch.optim import Optimizer

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning import masks
from vitprune.pruning.allocation.allocation import Allocation
from vitprune.pruning.criteria.calibration import accumulate_step
from vitprune.pruning.criteria.criterion import Criterion
from vitprune.pruning.granularity.granularity import Granularity
from vitprune.pruning.layer_selection import LayerSelection
from vitprune.pruning.masks.sharding import place
from vitprune.pruning.method import Method
from vitprune.pruning.regrow import RigL
from vitprune.pruning.schedules.schedule import Schedule
from vitprune.pruning.settings import first_difference
from vitprune.pruning.sparsity import measure
from vitprune.runs.checkpoint import PRUNING, check_format
from vitprune.training.pruning.accuracy_guarded import AccuracyGuarded
from vitprune.training.pruning.checks import check_layers, check_steps, check_training
from vitprune.training.pruning.dense import evaluate_dense
from vitprune.training.pruning.one_round import prune_round, record_metric
from vitprune.training.pruning.rewind.rewind import Rewind
from vitprune.training.pruning.round_log import end_round, log_scalars
from vitprune.training.pruning.search import start
from vitprune.training.pruning.settings import PruningSettings
from vitprune.training.pruning.state import PruningState
from vitprune.training.pruning.weight_averaging import check_weight_averaging


@final
class IterativePruning(Callback):
    """Prune at the start of epochs (or steps) and fine-tune with the masks active in between.

    Works with any LightningModule: `Trainer(callbacks=[IterativePruning(Cubic(0.8, end=8))])`.
    Masks are attached before the optimizer is built and a checkpoint is restored, are saved in the
    checkpoint, and stay until `masks.remove`. Weights that are zero when a run begins are masked,
    so a sparse export can be fine-tuned and pruned further (`Movement` and `RigL` can regrow
    weights). A round is pruned as soon as it is due and not done, so a resume never skips or
    repeats one.

    Args:
        schedule: Sparsity schedule, or `AccuracyGuarded`.
        criterion: Importance scores of the weights; `Magnitude()` by default.
        granularity: Pruning granularity: the group of weights that is pruned as one; `Element()`
            by default.
        allocation: How the sparsity is divided among the layers; `Uniform()` by default, or
            `Global()` for whole branches.
        layers: Layers to prune; by default those of the granularity, else every linear and
            convolutional layer except patch embedding and classifier (of a Hugging Face ViT; all
            layers of other models).
        rewind: Weight or learning-rate rewinding after each round; none by default.
        regrow: Whether pruned weights can regrow; none do by default.
        calibration_images: Number of training images for calibration statistics, for criteria that
            need them.
        monitor: Validation metric recorded for the dense model and for each round; null records
            none.
        validate_after_pruning: Whether each round is also validated just after pruning, at the
            cost of one pass over the validation data. Set it to false for many rounds.
        seed: Seed of random scores and of the calibration images; by default that of
            `seed_everything`, or 42.

    Attributes:
        settings: The arguments, with criterion, granularity and allocation as one method.
        state: The progress of pruning, as a checkpoint stores it.
        layers: The layers that `settings.layers` selects; empty before `setup` or `check`.

    """

    def __init__(  # noqa: PLR0913  # each is a key of `pruning:`
        self,
        schedule: Schedule | AccuracyGuarded,
        criterion: Criterion | None = None,
        granularity: Granularity | None = None,
        allocation: Allocation | None = None,
        layers: LayerSelection | None = None,
        rewind: Rewind | None = None,
        regrow: RigL | None = None,
        calibration_images: int = 256,
        monitor: str | None = "val/accuracy",
        *,
        validate_after_pruning: bool = True,
        seed: int | None = None,
    ) -> None:
        self.settings = PruningSettings(
            schedule=schedule,
            method=Method(criterion, granularity, allocation),
            layers=layers or LayerSelection(),
            rewind=rewind,
            regrow=regrow,
            calibration_images=calibration_images,
            monitor=monitor,
            validate_after_pruning=validate_after_pruning,
            seed=int(os.environ.get("PL_GLOBAL_SEED", 42)) if seed is None else seed,
        )
        self.layers: list[Layer] = []
        self.state = PruningState(start(schedule))

    # ---- before training

    def check(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Select the layers without changing the model.

        Raises:
            UsageError: If these layers cannot be pruned with these settings, in this training.

        """
        self.layers = self.settings.layers.select(pl_module, self.settings.method.granularity.roles)
        check_layers(self.settings, self.layers, pl_module)
        if stage == "fit":
            check_training(self.settings, self.layers, trainer)
            check_weight_averaging(trainer, self, restores_weights=self.settings.restores_weights)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check the settings and attach the masks."""
        self.check(trainer, pl_module, stage)
        if not any(masks.is_masked(layer.module) for layer in self.layers):  # never pruned
            self.state = PruningState(start(self.settings.schedule))
        criterion = self.settings.method.criterion
        masks.attach(self.layers, straight_through=criterion.straight_through)
        for grouping in self.settings.method.granularity.groupings(self.layers):
            masks.attach(grouping.biases, "bias")
        masks.keep_from_broadcasts(pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the schedule against the number of steps, and evaluate the dense model."""
        if self.state.search and self.state.search.ended:
            raise UsageError(
                "The pruning schedule of this checkpoint is complete. Export it, or start a new "
                "run."
            )
        check_steps(self.settings.schedule, trainer)
        if self.settings.rewind and not trainer.fast_dev_run:
            self.settings.rewind.prepare(trainer, self.settings.schedule)
        weights = {layer.name: masks.original(layer) for layer in self.layers}
        for name, statistic in self.state.statistics.items():
            self.state.statistics[name] = place(statistic, weights[name])
        if self.state.dense_zeros is None:
            evaluate_dense(trainer, pl_module, self.layers, self.settings, self.state)

    # ---- while training

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Prune if a round is due that is not done; decided by state, so no resume can miss it."""
        if self.settings.rewind:
            self.settings.rewind.keep(trainer, pl_module, self.state.early_weights)
        in_epochs = self.settings.schedule.unit == "epoch"
        position = trainer.current_epoch if in_epochs else trainer.global_step
        due = self.state.plan.rounds_due(position)
        if due > len(self.state.rounds):
            prune_round(trainer, pl_module, self.layers, self.settings, self.state, due)

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Accumulate the statistics of a straight-through criterion, before gradient clipping."""
        if self.settings.method.criterion.straight_through:
            accumulate_step(self.settings.method.criterion, self.layers, self.state.statistics)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Show the sparsity in the progress bar."""
        pl_module.log("sparsity", self.state.sparsity, prog_bar=True, logger=False, batch_size=1)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the metric of the fine-tuned round."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        record_metric(trainer, pl_module, self.settings, self.state)
        reached = measure(pl_module, self.layers)
        log_scalars(trainer, {"sparsity/target": self.state.target, **reached.scalars()})

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the last round and its weights; a search ends with its last good state."""
        if self.state.search:
            self.state.search.settle(trainer, pl_module, rounds=len(self.state.rounds))
        end_round(trainer, self.layers, self.state.rounds, self.settings)

    # ---- checkpoints

    @property
    def state_key(self) -> str:
        """The key of the state in a checkpoint."""
        return PRUNING

    def state_dict(self) -> dict[str, Any]:
        """Return state and settings, in types that `torch.load(weights_only=True)` accepts."""
        return {**self.state.state_dict(), "settings": self.settings.describe()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of a checkpoint.

        Raises:
            UsageError: If it was saved with other settings or by vitprune 0.1.

        """
        check_format(state_dict, "the checkpoint")
        if difference := first_difference(state_dict["settings"], self.settings.describe()):
            raise UsageError(
                f"this checkpoint was pruned with another setting: pruning.{difference}. Resume "
                "with its settings, or start a new run from its export."
            )
        self.state.load_state_dict(state_dict)
