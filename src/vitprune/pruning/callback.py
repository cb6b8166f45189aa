"""When: the callback that keeps masks on a model while it trains, and prunes it a little more round by round."""

import math
import os
from dataclasses import asdict
from typing import Any, final

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger

from vitprune.errors import UsageError
from vitprune.model.layers import Layer
from vitprune.pruning import masks
from vitprune.pruning.allocation import Allocation, Uniform
from vitprune.pruning.criteria import Criterion, Magnitude
from vitprune.pruning.granularity import Element, Granularity
from vitprune.pruning.histograms import log_histograms
from vitprune.pruning.layer_selection import LayerSelection
from vitprune.pruning.probe import announce, validate_now
from vitprune.pruning.rounds import Round
from vitprune.pruning.schedules import Schedule
from vitprune.pruning.sparsity import Sparsity, measure
from vitprune.pruning.update import update_masks


@final
class IterativePruning(Callback):
    """Prune at the start of epochs (or steps), fine-tune with the masks active in between.

    Usable with any LightningModule: `Trainer(callbacks=[IterativePruning(Cubic(0.8, end_epoch=8))])`. Masks are attached before
    the optimizer is built and a checkpoint is restored, they live in the checkpoint, and nothing but `masks.remove` takes
    them off again. A round is pruned as soon as it is due and not done, so a resume never loses or repeats one.

    Args:
        schedule: How sparse, when.
        criterion: Which weights matter; by default `Magnitude()`.
        granularity: What falls together; by default `Element()`.
        allocation: How the sparsity is divided among the layers; by default `Uniform()`.
        layers: What is pruned at all; by default every linear and convolutional layer but patch embedding and classifier
            (of a Hugging Face ViT; layers of other models are pruned whatever they are called).
        monitor: Validation metric that is recorded for each round, also just after pruning (one more pass over the
            validation data); None for neither.
        seed: Seed of random scores; by default that of `seed_everything`, or 42.

    Attributes:
        rounds: What the rounds so far did.
        dense: The module's validation metrics before the first round.
        dense_zeros: Exact zeros among its parameters before the first round.

    """

    def __init__(
        self,
        schedule: Schedule,
        criterion: Criterion | None = None,
        granularity: Granularity | None = None,
        allocation: Allocation | None = None,
        layers: LayerSelection | None = None,
        monitor: str | None = "val/accuracy",
        seed: int | None = None,
    ) -> None:
        self.schedule = schedule
        self.criterion = criterion or Magnitude()
        self.granularity = granularity or Element()
        self.allocation = allocation or Uniform()
        self.selection = layers or LayerSelection()
        self.monitor = monitor
        self.seed = int(os.environ.get("PL_GLOBAL_SEED", 42)) if seed is None else seed
        self.layers: list[Layer] = []
        self.rounds: list[Round] = []
        self.dense: dict[str, float] = {}
        self.dense_zeros: int | None = None

    # ---- before training

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Attach the masks, and refuse what cannot work before anything is trained."""
        self.layers = self.selection.select(pl_module)
        for layer in self.layers:
            self.granularity.check(layer)
        self.allocation.check(self.layers)
        if not any(masks.is_masked(layer.module) for layer in self.layers):  # a model that was never pruned
            self.rounds, self.dense, self.dense_zeros = [], {}, None
        masks.attach(self.layers)
        if stage == "fit":
            if not trainer.fast_dev_run:
                self._check_epochs(trainer)
            _check_weight_averaging(trainer, self)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the schedule against the number of steps, now that it is known, and score the dense model."""
        if not trainer.fast_dev_run:
            self._check_steps(trainer)
        if self.dense_zeros is None:
            self._score_dense(trainer, pl_module)

    def _score_dense(self, trainer: Trainer, pl_module: LightningModule) -> None:
        dense = self.measure(pl_module)
        self.dense_zeros = dense.zeros
        self._log(trainer, {"sparsity/target": 0.0, **dense.scalars()})
        if self.monitor:
            self.dense = validate_now(trainer, pl_module)
            if trainer.val_dataloaders and self.monitor not in self.dense:
                raise UsageError(f"pruning.monitor {self.monitor!r} is not among what validation logs: {sorted(self.dense)}.")

    def _check_epochs(self, trainer: Trainer) -> None:
        end, epochs = self.schedule.end, trainer.max_epochs
        if self.schedule.unit == "epoch" and epochs not in (-1, None) and end >= epochs:
            raise UsageError(
                f"the last pruning round is due at the start of epoch {end} (counted from 0), but training ends after "
                f"trainer.max_epochs {epochs}: no epoch would be left to fine-tune at the final sparsity. Set max_epochs to "
                f"at least {end + 1}, or let the schedule end earlier."
            )

    def _check_steps(self, trainer: Trainer) -> None:
        end, steps = self.schedule.end, trainer.estimated_stepping_batches
        if steps == math.inf or trainer.num_training_batches == math.inf:
            return
        if self.schedule.unit == "epoch":
            end *= math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
        if end >= steps:
            raise UsageError(
                f"the last pruning round is due before optimizer step {end}, but training ends after {steps} steps: none "
                "would be left to fine-tune at the final sparsity. Train longer, or let the schedule end earlier."
            )

    # ---- while training

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Prune if a round is due that has not been done; decided by state, so no resume can miss it."""
        position = trainer.current_epoch if self.schedule.unit == "epoch" else trainer.global_step
        due = self.schedule.rounds_due(position)
        if due > len(self.rounds):
            self._report_round(trainer)
            self._prune(trainer, pl_module, due)

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
        if self.rounds and value is not None:
            self.rounds[-1].finetuned = float(value)
        self._log(trainer, {"sparsity/target": self.target, **self.measure(pl_module).scalars()})

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the last round, and draw its weights."""
        self._report_round(trainer)
        self._log_histograms(trainer)

    # ---- one round

    def measure(self, pl_module: LightningModule) -> Sparsity:
        """Count the zeros of the module now."""
        return measure(pl_module, self.layers)

    @property
    def sparsity(self) -> float:
        """The sparsity reached so far, over the prunable weights."""
        return self.rounds[-1].sparsity if self.rounds else 0.0

    @property
    def target(self) -> float:
        """The sparsity that the schedule asks for now."""
        return self.rounds[-1].target if self.rounds else 0.0

    @property
    def finished(self) -> bool:
        """Whether the last round is done."""
        return len(self.rounds) >= self.schedule.rounds

    def _prune(self, trainer: Trainer, pl_module: LightningModule, due: int) -> None:
        """Do round `due`; rounds that were due before it and not done are recorded with it."""
        self._log_histograms(trainer)
        target = self.schedule.sparsity(due)
        update_masks(self.layers, target, due, self.seed, self.criterion, self.granularity, self.allocation)
        reached = self.measure(pl_module)
        metrics = validate_now(trainer, pl_module) if self.monitor else {}
        pruned = metrics.get(self.monitor or "")
        for number in range(len(self.rounds) + 1, due + 1):
            self.rounds.append(Round(number, trainer.current_epoch, trainer.global_step, target, reached.prunable, pruned))
        after_pruning = {} if pruned is None else {"round/after_pruning": pruned}
        self._log(trainer, {"sparsity/target": target, **reached.scalars(), **after_pruning})

    def _report_round(self, trainer: Trainer) -> None:
        """Log and print the round that ends here."""
        if not self.rounds:
            return
        done = self.rounds[-1]
        if done.finetuned is not None:
            self._log(trainer, {"round/after_finetuning": done.finetuned})
        announce(done.line(self.schedule.rounds, self.monitor))

    def _log(self, trainer: Trainer, scalars: dict[str, float]) -> None:
        for logger in trainer.loggers:
            logger.log_metrics(scalars, step=trainer.global_step)

    def _log_histograms(self, trainer: Trainer) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
                log_histograms(logger.experiment, self.layers, trainer.global_step)

    # ---- state

    @property
    def settings(self) -> dict[str, Any]:
        """What must not change between a checkpoint and its resume, as plain values."""
        return {
            name: _plain(value)
            for name, value in (
                ("schedule", self.schedule),
                ("criterion", self.criterion),
                ("granularity", self.granularity),
                ("allocation", self.allocation),
                ("layers", self.selection),
                ("seed", self.seed),
            )
        }

    def state_dict(self) -> dict[str, Any]:
        """Return rounds, dense metrics and settings, in plain types (a checkpoint is loaded with `weights_only`)."""
        return {
            "rounds": [asdict(r) for r in self.rounds],
            "dense": dict(self.dense),
            "dense_zeros": self.dense_zeros,
            "settings": self.settings,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the checkpoint stopped.

        Raises:
            UsageError: If it was written with other settings; the message names the first difference.

        """
        difference = _first_difference(state_dict["settings"], self.settings)
        if difference:
            raise UsageError(
                f"the checkpoint was pruned with another setting: pruning.{difference}. "
                "Resume with its settings, or start a new run from its export."
            )
        self.rounds = [Round(**values) for values in state_dict["rounds"]]
        self.dense = dict(state_dict["dense"])
        self.dense_zeros = state_dict["dense_zeros"]


def _plain(value: Any) -> Any:
    """Describe a configured object by its class and its attributes."""
    if isinstance(value, Schedule | Criterion | Granularity | Allocation | LayerSelection):
        return {"class": type(value).__name__, **{k: _plain(v) for k, v in vars(value).items()}}
    return value


def _first_difference(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    """Name the first setting that differs between a checkpoint and now, with both values; nothing if none does."""
    for name in {**ours, **theirs}:
        old, new = theirs.get(name), ours.get(name)
        if isinstance(old, dict) and isinstance(new, dict) and old != new:
            return f"{name}.{_first_difference(old, new)}"
        if old != new:
            return f"{name}: {old} in the checkpoint, {new} now"
    return ""


def _check_weight_averaging(trainer: Trainer, pruning: Callback) -> None:
    """Refuse an average that would validate with stale masks: one over buffers too, or one that runs before the masks."""
    for averaging in trainer.callbacks:
        if not isinstance(averaging, WeightAveraging):
            continue
        if averaging._use_buffers:
            raise UsageError(f"{type(averaging).__name__} needs use_buffers=False with pruning, or masks go stale.")
        if trainer.callbacks.index(averaging) < trainer.callbacks.index(pruning):
            raise UsageError(f"{type(averaging).__name__} must stand after IterativePruning in the list of callbacks.")
