"""When: the callback that keeps masks on a model while it trains, and prunes it a little more round by round."""

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any, final

from lightning import LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning import masks
from vitprune.pruning.allocation.allocation import Allocation
from vitprune.pruning.criteria.calibration import accumulate_step
from vitprune.pruning.criteria.criterion import Criterion
from vitprune.pruning.criteria.taylor import Taylor
from vitprune.pruning.granularity.granularity import Granularity
from vitprune.pruning.layer_selection import LayerSelection
from vitprune.pruning.masks.sharding import place, reshard
from vitprune.pruning.method import Method
from vitprune.pruning.regrow import Exchange, RigL, resetting_changed_weights
from vitprune.pruning.schedules.schedule import Schedule
from vitprune.pruning.sparsity import Sparsity, measure
from vitprune.pruning.update import update_masks
from vitprune.training.probe import announce, validate_now
from vitprune.training.pruning.calibration import calibrate_on
from vitprune.training.pruning.checks import (
    check_between,
    check_epochs,
    check_groupings,
    check_observing,
    check_regrow,
    check_schedule,
    check_steps,
    check_total,
)
from vitprune.training.pruning.resumable import ResumablePruning
from vitprune.training.pruning.rewind import Rewind, Weights
from vitprune.training.pruning.round_log import is_long, log_scalars, log_weights, report
from vitprune.training.pruning.rounds import Round
from vitprune.training.pruning.weight_averaging import check_weight_averaging, hand_on_masks


@final
class IterativePruning(ResumablePruning):
    """Prune at the start of epochs (or steps), fine-tune with the masks active in between.

    Usable with any LightningModule: `Trainer(callbacks=[IterativePruning(Cubic(0.8,
    end_epoch=8))])`. Masks are attached before the optimizer is built and a checkpoint is restored,
    they live in the checkpoint, and nothing but `masks.remove` takes them off again. What is zero
    when a run begins is masked, so a sparse export can be trained and pruned on (`Movement` and
    `RigL` let weights return). A round is pruned as soon as it is due and not done, so a resume
    never loses or repeats one.

    Args:
        schedule: How sparse, when.
        criterion: Which weights matter; by default `Magnitude()`.
        granularity: What falls together; by default `Element()`.
        allocation: How the sparsity is divided among the layers; by default `Uniform()`, or
            `Global()` for whole branches.
        layers: What is pruned at all; by default what the granularity is for, else every linear and
            convolutional layer but patch embedding and classifier (of a Hugging Face ViT; layers of
            other models whatever they are called).
        rewind: What goes back to its start after each round; by default nothing.
        regrow: Whether weights return; by default none do.
        calibration_images: Training images from which a criterion learns, where it needs to.
        monitor: Validation metric that is recorded of the dense model and of each round; None for
            none.
        validate_after_pruning: Record it also just after pruning, by one more pass over the
            validation data in each round: what pruning costs before any fine-tuning. Leave that
            away where rounds are many.
        seed: Seed of random scores and of the calibration sample; by default that of
            `seed_everything`, or 42.

    Attributes:
        method: Criterion, granularity and allocation.

    """

    def __init__(
        self,
        schedule: Schedule,
        criterion: Criterion | None = None,
        granularity: Granularity | None = None,
        allocation: Allocation | None = None,
        layers: LayerSelection | None = None,
        rewind: Rewind | None = None,
        regrow: RigL | None = None,
        calibration_images: int = 256,
        monitor: str | None = "val/accuracy",
        validate_after_pruning: bool = True,
        seed: int | None = None,
    ) -> None:
        if calibration_images < 1:
            raise UsageError(f"calibration_images must be at least 1, not {calibration_images}.")
        self.schedule = schedule
        self.method = Method(criterion, granularity, allocation)
        self.selection = layers or LayerSelection()
        self.rewind, self.regrow, self.calibration_images = rewind, regrow, calibration_images
        self.monitor, self.validate_after_pruning = (
            monitor,
            validate_after_pruning and monitor is not None,
        )
        self.seed = int(os.environ.get("PL_GLOBAL_SEED", 42)) if seed is None else seed
        check_between(schedule, self.method, rewind, regrow)
        if schedule.observes and (monitor is None or monitor.endswith("loss")):
            name = type(schedule).__name__
            raise UsageError(
                f"{name} follows a metric that is better when higher: set pruning.monitor to one, "
                f"not {monitor!r}."
            )
        self.layers: list[Layer] = []
        self.start_afresh()

    # ---- before training

    def check(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the layers, and refuse what cannot work; the model is left as it is."""
        self.layers = self.selection.select(pl_module, self.method.granularity.roles)
        self.method.check(self.layers)
        groupings = self.method.granularity.groupings(self.layers)
        check_groupings(groupings, pl_module)
        if self.regrow:
            check_regrow(groupings, self.regrow, self.schedule)
        if stage == "fit":
            check_schedule(self.schedule, self.method)
            check_epochs(self.schedule, trainer)
            check_observing(self.schedule, trainer)
            check_total(self.method, self.layers, self.schedule)
            check_weight_averaging(
                trainer, self, self.schedule.observes or isinstance(self.rewind, Weights)
            )

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Attach the masks, and refuse what cannot work before anything is trained."""
        self.check(trainer, pl_module, stage)
        if not any(
            masks.is_masked(layer.module) for layer in self.layers
        ):  # a model that was never pruned
            self.start_afresh()
        masks.attach(self.layers, straight_through=self.method.criterion.straight_through)
        for grouping in self.method.granularity.groupings(self.layers):
            masks.attach(grouping.biases, "bias")
        masks.keep_from_broadcasts(pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the schedule against the number of steps, now that it is known, and score the dense model."""
        if self.schedule.ended:
            raise UsageError(
                "this run is finished, its schedule has ended: export its checkpoint, or begin a "
                "new run."
            )
        check_steps(self.schedule, trainer)
        if self.rewind and not trainer.fast_dev_run:
            self.rewind.begin(trainer, self.schedule)
        where = {layer.name: masks.original(layer) for layer in self.layers}
        self.learned = {name: place(value, where[name]) for name, value in self.learned.items()}
        if self.dense_zeros is None:
            self._score_dense(trainer, pl_module)

    def _score_dense(self, trainer: Trainer, pl_module: LightningModule) -> None:
        dense = self.measure(pl_module)
        self.dense_zeros, self.dense_sparsity = dense.zeros, dense.prunable
        self.schedule.start_afresh(dense.prunable)
        log_scalars(trainer, {"sparsity/target": 0.0, **dense.scalars()})
        if round(dense.prunable, 4):
            announce(f"{dense.prunable:.2%} of the prunable weights are zero already, and masked")
        if self.monitor:
            self.dense = validate_now(trainer, pl_module)
            if (
                trainer.enable_validation or self.schedule.observes
            ) and self.monitor not in self.dense:
                raise UsageError(
                    f"pruning.monitor {self.monitor!r} is not among what validation logs: "
                    f"{sorted(self.dense)}."
                )
        if (name := str(self.monitor)) in self.dense:
            held = ": the rounds are held against that" if self.schedule.observes else ""
            announce(f"before pruning  {name} {self.dense[name]:.4f}{held}")
        if self.schedule.observes:
            self.good.keep(pl_module)

    # ---- while training

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Prune if a round is due that has not been done; decided by state, so no resume can miss it."""
        if self.rewind:
            self.rewind.watch(trainer, pl_module)
        position = trainer.current_epoch if self.schedule.unit == "epoch" else trainer.global_step
        due = self.schedule.rounds_due(position)
        if due > len(self.rounds):
            self._prune(trainer, pl_module, due)

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Let a criterion that learns from the training see the gradients, as they are before clipping."""
        if self.method.criterion.straight_through:
            accumulate_step(self.method.criterion, self.layers, self.learned)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Show the sparsity in the progress bar."""
        pl_module.log("sparsity", self.sparsity, prog_bar=True, logger=False)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the metric of the fine-tuned round."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        value = trainer.callback_metrics.get(self.monitor or "")
        if value is not None:
            self._record(
                trainer,
                pl_module,
                float(trainer.strategy.reduce(value.detach().clone(), reduce_op="mean")),
            )
        log_scalars(trainer, {"sparsity/target": self.target, **self.measure(pl_module).scalars()})

    def _record(self, trainer: Trainer, pl_module: LightningModule, metric: float) -> None:
        """Note the metric of a validation, the same on every rank, and let the schedule decide about it."""
        name = str(self.monitor)
        if self.rounds:
            self.rounds[-1].finetuned = metric
        if self.schedule.observes and self.rounds:
            self.good.judge(trainer, pl_module, metric, self.dense[name])
        elif (
            self.schedule.observes
        ):  # fine-tuned before the first round, the dense model may be better than it was
            self.dense[name] = max(metric, self.dense[name])
            self.good.keep(pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the last round, and draw its weights; a schedule that watches the metric ends with the last good state."""
        if self.schedule.observes:
            self.good.settle(trainer, pl_module, good_now=self.finished)
        report(trainer, self.rounds, self.schedule, self.monitor)
        log_weights(trainer, self.layers)

    # ---- one round

    def measure(self, pl_module: LightningModule) -> Sparsity:
        """Count the zeros of the module now."""
        return measure(pl_module, self.layers)

    def _prune(self, trainer: Trainer, pl_module: LightningModule, due: int) -> None:
        """Do round `due`; rounds that were due before it and not done are recorded with it."""
        reshard(pl_module)
        logging = self.validate_after_pruning or is_long(trainer, self.rounds)
        if logging:
            report(trainer, self.rounds, self.schedule, self.monitor)
            log_weights(trainer, self.layers)
        if self.schedule.retreating:
            self.good.go_back(trainer, pl_module)
        target = self.schedule.sparsity(due)
        self._update(trainer, pl_module, target, due)
        hand_on_masks(trainer, pl_module)
        if self.rewind:
            self.rewind.rewind(trainer, pl_module)
        reached = self.measure(pl_module)
        metrics = validate_now(trainer, pl_module) if self.validate_after_pruning else {}
        pruned = metrics.get(self.monitor or "")
        for number in range(len(self.rounds) + 1, due + 1):
            self.rounds.append(
                Round(
                    number,
                    trainer.current_epoch,
                    trainer.global_step,
                    target,
                    reached.prunable,
                    pruned,
                )
            )
        after_pruning = {} if pruned is None else {"round/after_pruning": pruned}
        if logging:
            log_scalars(trainer, {"sparsity/target": target, **reached.scalars(), **after_pruning})

    def _update(
        self, trainer: Trainer, pl_module: LightningModule, target: float, due: int
    ) -> None:
        """Bring the masks to a sparsity."""

        def learn(criterion: Criterion) -> dict[str, Tensor]:
            return calibrate_on(
                trainer, pl_module, criterion, self.layers, self.calibration_images, self.seed
            )

        criterion, exchange = self.method.criterion, None
        meanwhile: AbstractContextManager[None] = nullcontext()
        statistics = learn(criterion) if criterion.calibrated else self.learned
        if self.regrow:
            gradients = statistics if criterion.observes_gradient else learn(Taylor())
            exchange = Exchange(self.regrow.share(due, self.schedule.rounds), gradients)
            meanwhile = resetting_changed_weights(
                self.method.granularity.groupings(self.layers), trainer.optimizers
            )
        with meanwhile:
            update_masks(self.layers, self.method, target, due, self.seed, statistics, exchange)
