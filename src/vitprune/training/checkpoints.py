"""When `last.ckpt` and `best.ckpt` are saved: at points that can be resumed exactly."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from vitprune.errors import UsageError
from vitprune.runs.atomic import copy_file
from vitprune.runs.checkpoint import RUN_CHECKPOINTS, TrainingCheckpoint
from vitprune.runs.run_folder import RunFolder
from vitprune.training.best import Best
from vitprune.training.guards import KEPT
from vitprune.training.lightning_internals import saves_shards
from vitprune.training.probe import validate_now
from vitprune.training.pruning.callback import pruning_callbacks
from vitprune.training.signals import StopSignals

OWN = ("vitprune", "lightning")  # packages whose callbacks log no validation metrics


class RunCheckpoints(Checkpoint):
    """Save `last.ckpt` after every epoch, and `best.ckpt` when the monitored metric improves.

    `best` is chosen among the epochs at the final sparsity only, so its metric is that of the
    sparse model. Both are saved where training can be resumed exactly: between two optimizer
    steps, or after an epoch and its validation. SIGTERM and Ctrl-C end the run at the next such
    point, with exit code 143 or 130; SIGUSR1 also requeues a SLURM job.

    Args:
        monitor: Validation metric, higher = better; not a loss.
        every_n_steps: Also save `last.ckpt` every this many optimizer steps; null saves it after
            each epoch only.

    """

    def __init__(self, monitor: str = "val/accuracy", every_n_steps: int | None = None) -> None:
        if every_n_steps is not None and every_n_steps < 1:
            raise UsageError(f"checkpoint.every_n_steps must be at least 1, not {every_n_steps}.")
        if monitor.endswith("loss"):
            raise UsageError(
                f"checkpoint.monitor {monitor!r} is better when lower. Use a metric that is better "
                "when higher, such as val/accuracy."
            )
        self.monitor = monitor
        self.every_n_steps = every_n_steps
        self.best = Best()
        self._signals = StopSignals()
        self._steps_before = 0
        self._validated_at = -1

    @property
    def state_key(self) -> str:
        """Key of the state in a checkpoint."""
        return RUN_CHECKPOINTS

    def run(self, trainer: Trainer) -> RunFolder:
        """Return the folder of the run."""
        return RunFolder(Path(trainer.log_dir or trainer.default_root_dir))

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse checkpoints that are folders of shards, which cannot be read here."""
        if saves_shards(trainer):
            raise UsageError(
                "trainer.strategy.save_distributed_checkpoint must be false: a checkpoint must be "
                "one file."
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Install the signal handlers, after Lightning has installed its own."""
        self._signals.install()
        self._take_over_best(trainer)
        others = [
            callback
            for callback in trainer.callbacks
            if type(callback).__module__.partition(".")[0] not in OWN
        ]
        if others:  # they may log the metric later
            return
        for pruning in pruning_callbacks(trainer):
            if pruning.state.dense:
                self._check_monitor(pruning.state.dense)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Remember the step, to see whether this batch takes another one."""
        self._steps_before = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save or stop between two steps; after the last batch of an epoch, its end does that."""
        if trainer.global_step == self._steps_before or trainer.is_last_batch:
            return
        stopping = self._signals.agreed(trainer)
        if stopping or (self.every_n_steps and trainer.global_step % self.every_n_steps == 0):
            self._save(trainer, self.run(trainer).last)
        if stopping:
            self._stop(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember which weights the metric belongs to."""
        if not trainer.sanity_checking:
            self._validated_at = trainer.global_step

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save `best` if the metric improved, then `last`."""
        if trainer.fast_dev_run:
            return
        score = self._score(trainer, pl_module) if at_final_sparsity(trainer) else None
        sparsity = sum(callback.state.target for callback in pruning_callbacks(trainer))
        if score is not None and self.best.improve(score, sparsity):
            self._save(trainer, self.run(trainer).best)
        self._save(trainer, self.run(trainer).last)
        if self._validated_at == trainer.global_step:
            self._check_monitor(trainer.callback_metrics)
        if self._signals.agreed(trainer):
            self._stop(trainer)

    def _check_monitor(self, metrics: Mapping[str, Any]) -> None:
        if self.monitor not in metrics:
            raise UsageError(
                f"checkpoint.monitor {self.monitor!r} is not a metric that validation logs. Valid "
                f"are {', '.join(sorted(metrics))}."
            )

    def _score(self, trainer: Trainer, pl_module: LightningModule) -> float | None:
        """Return the metric of the current weights; None if it is not known and not needed."""
        if self._validated_at == trainer.global_step:
            score = trainer.callback_metrics.get(self.monitor)
        elif self.best.score is None:
            score = validate_now(trainer, pl_module).get(self.monitor)
        else:
            score = None
        return None if score is None else float(score)

    def _save(self, trainer: Trainer, path: Path) -> None:
        """Save a checkpoint, unless the last step made a weight infinite or NaN."""
        for name, parameter in trainer.lightning_module.named_parameters():
            if not parameter.isfinite().all():
                raise UsageError(
                    f"{name} is no longer finite in epoch {trainer.current_epoch} after optimizer "
                    f"step {trainer.global_step}. {KEPT}"
                )
        trainer.save_checkpoint(path, weights_only=False)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take over the best checkpoint so far, also if no training is left."""
        self._take_over_best(trainer)

    def _take_over_best(self, trainer: Trainer) -> None:
        """Copy the best checkpoint from beside the one that is resumed; else restart the tracking.

        Sharded strategies restore the state of callbacks only when training starts.
        """
        if self.best.score is None or trainer.ckpt_path is None:
            return
        target = self.run(trainer).best
        places = (target, Path(trainer.ckpt_path).with_name(target.name))
        source = None
        if trainer.is_global_zero:
            source = next((place for place in places if self._is_best(place)), None)
        if source and source != target:
            copy_file(source, target)
        if not trainer.strategy.broadcast(source is not None):
            rank_zero_info(
                f"Best checkpoint not found at {target} or {places[1]}; best-metric tracking "
                "restarts."
            )
            self.best.reset()

    def _is_best(self, path: Path) -> bool:
        with suppress(UsageError):  # missing, damaged or of another program
            return TrainingCheckpoint.read(path).run_checkpoints == self.state_dict()
        return False

    def _stop(self, trainer: Trainer) -> None:
        root = Path(trainer.default_root_dir)
        option = "" if root.resolve() == Path.cwd() else f" --trainer.default_root_dir {root}"
        rank_zero_info(
            f"Stopped by {self._signals.name} in epoch {trainer.current_epoch} after step "
            f"{trainer.global_step}. Saved {self.run(trainer).last}. "
            f"Resume with: fit --ckpt_path last{option}"
        )
        if message := self._signals.requeue(trainer):
            rank_zero_info(message)
        raise SystemExit(self._signals.exit_code)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Restore the signal handlers."""
        self._signals.restore()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Restore the signal handlers after an error."""
        self._signals.restore()

    def state_dict(self) -> dict[str, Any]:
        """Return the best metric so far and its sparsity."""
        return self.best.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best metric so far and its sparsity."""
        self.best.load_state_dict(state_dict)


def at_final_sparsity(trainer: Trainer) -> bool:
    """Return whether every pruning callback has done its last round; true without pruning."""
    return all(callback.state.finished for callback in pruning_callbacks(trainer))
