"""Throughput of training, and the share of the time spent waiting for data."""

import time
from typing import Any

from lightning import Callback, LightningModule, Trainer

from vitprune.runs.checkpoint import IMAGES_SEEN
from vitprune.training.pruning.callback import IterativePruning


class Throughput(Callback):
    """Log `throughput/images_per_s`, `throughput/data_wait` and `throughput/images_seen`.

    `data_wait` is the share of the time spent waiting for a batch, in [0, 1]. `images_seen` counts
    from the first step of the run, also across resumes. The time of validation, of checkpoints, of
    validated pruning rounds and between epochs is not counted. Must be placed before callbacks
    that work between batches.
    """

    def __init__(self) -> None:
        self._batch_end: float | None = None
        self._batch_start = self._waited_s = self._elapsed_s = 0.0
        self._images = self._images_seen = self._rounds = 0

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the number of images at the top level of the checkpoint.

        With a callback state, Lightning would warn about a missing callback in `validate`.
        """
        checkpoint[IMAGES_SEEN] = self._images_seen
        self._batch_end = None

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Restore the number of images."""
        self._images_seen = checkpoint.get(IMAGES_SEEN, 0)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restart the measurement: the time between epochs is not counted."""
        self._reset()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Do not count a validation within an epoch."""
        self._batch_end = None

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Count the time since the last batch as waiting for data."""
        now = time.perf_counter()
        if self._batch_end is not None:
            self._waited_s += now - self._batch_end
            self._elapsed_s += now - self._batch_end
        self._batch_start, self._rounds = now, _validated_rounds(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the images, and log every `log_every_n_steps` batches."""
        self._batch_end = time.perf_counter()
        images = len(batch["labels"]) * trainer.world_size
        self._images_seen += images
        if _validated_rounds(trainer) == self._rounds:
            self._elapsed_s += self._batch_end - self._batch_start
            self._images += images
        every = trainer.log_every_n_steps or float("inf")
        if (trainer.fit_loop.total_batch_idx + 1) % every == 0 or trainer.is_last_batch:
            for logger in trainer.loggers:
                logger.log_metrics(self._scalars(), step=trainer.global_step)
            self._reset()

    def _scalars(self) -> dict[str, float]:
        seen: dict[str, float] = {"throughput/images_seen": self._images_seen}
        if not self._images:
            return seen
        rate, waiting = self._images / self._elapsed_s, self._waited_s / self._elapsed_s
        return {"throughput/images_per_s": rate, "throughput/data_wait": waiting, **seen}

    def _reset(self) -> None:
        self._batch_end = None
        self._waited_s = self._elapsed_s = 0.0
        self._images = 0


def _validated_rounds(trainer: Trainer) -> int:
    rounds = [
        round
        for c in trainer.callbacks
        if isinstance(c, IterativePruning)
        for round in c.state.rounds
    ]
    return sum(round.pruned is not None for round in rounds)
