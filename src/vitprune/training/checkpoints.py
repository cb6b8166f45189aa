"""When to save: the checkpoints `last` and `best`, where a resume is exact."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from vitprune.errors import UsageError
from vitprune.runs.checkpoint_files import copy_checkpoint, read_checkpoint
from vitprune.training.guards import KEPT
from vitprune.training.lightning_internals import saves_shards
from vitprune.training.probe import validate_now
from vitprune.training.pruning.callback import IterativePruning
from vitprune.training.signals import StopSignals

OWN = ("vitprune", "lightning")  # packages whose callbacks log no validation metrics


class RunCheckpoints(Checkpoint):
    """Save `last.ckpt` after every epoch and `best.ckpt` at the best metric so far.

    `best` is chosen among the epochs at the final sparsity. Both are saved where a resume is exact:
    between two optimizer steps, or after an epoch and its validation. SIGTERM and Ctrl-C end the
    run at the next such point, with exit code 143 or 130; SIGUSR1 also requeues a SLURM job.

    Args:
        monitor: Validation metric that is better when higher, so no loss.
        every_n_steps: Number of optimizer steps after which `last` is saved within an epoch; null
            saves it after epochs only.

    """

    def __init__(self, monitor: str = "val/accuracy", every_n_steps: int | None = None) -> None:
        if every_n_steps is not None and every_n_steps < 1:
            raise UsageError(f"checkpoint.every_n_steps must be at least 1, not {every_n_steps}.")
        if monitor.endswith("loss"):
            raise UsageError(
                f"checkpoint.monitor {monitor!r} is better when lower. Set it to a metric that is "
                "better when higher, val/accuracy for example."
            )
        self.monitor, self.every_n_steps = monitor, every_n_steps
        self.best_score: float | None = None
        self.best_sparsity = 0.0
        self._signals = StopSignals()
        self._steps_before = 0
        self._validated_at = -1

    def folder(self, trainer: Trainer) -> Path:
        """Return the folder of the checkpoints: `checkpoints` in that of the run."""
        return Path(trainer.log_dir or trainer.default_root_dir) / "checkpoints"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse checkpoints that are folders of shards, which cannot be read here."""
        if saves_shards(trainer):
            raise UsageError(
                "sharded checkpoints are not supported. Set "
                "trainer.strategy.save_distributed_checkpoint to false."
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Handle signals, now that Lightning has set its own handlers."""
        self._signals.install()
        self._take_over_best(trainer)
        foreign = any(
            type(callback).__module__.partition(".")[0] not in OWN for callback in trainer.callbacks
        )
        if foreign:  # another callback may log the metric later
            return
        for pruning in trainer.callbacks:
            if isinstance(pruning, IterativePruning) and pruning.state.dense:
                self._check_monitor(pruning.state.dense)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Remember the optimizer steps before this batch."""
        self._steps_before = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save or stop between two steps; after the last batch, the end of the epoch does."""
        if trainer.global_step == self._steps_before or trainer.is_last_batch:
            return
        stopping = self._signals.agreed(trainer)
        if stopping or (self.every_n_steps and trainer.global_step % self.every_n_steps == 0):
            self._save(trainer, "last")
        if stopping:
            self._stop(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember the step of the weights that the metric belongs to."""
        if not trainer.sanity_checking:
            self._validated_at = trainer.global_step

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save `best` if the metric is the best so far, and `last`."""
        if trainer.fast_dev_run:
            return
        score = self._score(trainer, pl_module) if at_final_sparsity(trainer) else None
        sparsity = sum(c.state.target for c in trainer.callbacks if isinstance(c, IterativePruning))
        if score is not None and (
            self.best_score is None or (sparsity, score) > (self.best_sparsity, self.best_score)
        ):
            self.best_score, self.best_sparsity = score, sparsity
            self._save(trainer, "best")
        self._save(trainer, "last")
        if self._validated_at == trainer.global_step:
            self._check_monitor(trainer.callback_metrics)
        if self._signals.agreed(trainer):
            self._stop(trainer)

    def _check_monitor(self, metrics: Mapping[str, Any]) -> None:
        if self.monitor not in metrics:
            raise UsageError(
                f"checkpoint.monitor {self.monitor!r} is not among the metrics that validation "
                f"logs. Valid are {', '.join(sorted(metrics)) or 'none'}."
            )

    def _score(self, trainer: Trainer, pl_module: LightningModule) -> float | None:
        """Return the metric of the current weights, validating if there is no best one yet."""
        if self._validated_at == trainer.global_step:
            score = trainer.callback_metrics.get(self.monitor)
        else:
            score = (
                validate_now(trainer, pl_module).get(self.monitor)
                if self.best_score is None
                else None
            )
        return None if score is None else float(score)

    def _save(self, trainer: Trainer, name: str) -> None:
        """Save a checkpoint, unless the last step made weights infinite or NaN."""
        for parameter_name, parameter in trainer.lightning_module.named_parameters():
            if not parameter.isfinite().all():
                raise UsageError(
                    f"{parameter_name} is not finite in epoch {trainer.current_epoch} after "
                    f"optimizer step {trainer.global_step}. {KEPT}"
                )
        trainer.save_checkpoint(self.folder(trainer) / f"{name}.ckpt", weights_only=False)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Copy the best checkpoint so far, also if no training is left."""
        self._take_over_best(trainer)

    def _take_over_best(self, trainer: Trainer) -> None:
        """Copy the best checkpoint from the folder of the resumed one; restart tracking without it.

        Sharded strategies restore the best metric only when training starts.
        """
        if self.best_score is None or trainer.ckpt_path is None:
            return
        target = self.folder(trainer) / "best.ckpt"
        places = (target, Path(trainer.ckpt_path).with_name("best.ckpt"))
        source = (
            next((place for place in places if self._is_best(place)), None)
            if trainer.is_global_zero
            else None
        )
        if source and source != target:
            copy_checkpoint(source, target)
        if not trainer.strategy.broadcast(source is not None):
            rank_zero_info(
                f"Best checkpoint not found at {target} or {places[1]}; best-metric tracking "
                "restarts."
            )
            self.best_score, self.best_sparsity = None, 0.0

    def _is_best(self, path: Path) -> bool:
        with suppress(UsageError):  # damaged or foreign
            return (
                path.is_file()
                and read_checkpoint(path)["callbacks"].get(type(self).__name__) == self.state_dict()
            )
        return False

    def _stop(self, trainer: Trainer) -> None:
        root = Path(trainer.default_root_dir)
        place = "" if root.resolve() == Path.cwd() else f" --trainer.default_root_dir {root}"
        rank_zero_info(
            f"stopped by {self._signals.name} in epoch {trainer.current_epoch} after step "
            f"{trainer.global_step}; saved {self.folder(trainer) / 'last.ckpt'}. Resume with: "
            f"fit --ckpt_path last{place}"
        )
        if said := self._signals.requeue(trainer):
            rank_zero_info(said)
        raise SystemExit(self._signals.exit_code)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Restore the signal handlers."""
        self._signals.restore()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Restore the signal handlers after an exception."""
        self._signals.restore()

    def state_dict(self) -> dict[str, Any]:
        """Return the best metric so far, and its sparsity."""
        return {"best_score": self.best_score, "best_sparsity": self.best_sparsity}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best metric so far."""
        self.best_score, self.best_sparsity = state_dict["best_score"], state_dict["best_sparsity"]


def at_final_sparsity(trainer: Trainer) -> bool:
    """Return whether all pruning callbacks are at their final sparsity; true without any."""
    return all(c.state.finished for c in trainer.callbacks if isinstance(c, IterativePruning))
