"""Training speed, and the share of the time spent waiting for data."""

import time
from typing import Any

from lightning import Callback, LightningModule, Trainer

from vitprune.training.pruning.callback import IterativePruning


class Throughput(Callback):
    """Log images per second, the share of the time spent waiting for data, and the images seen.

    `throughput/images_per_s` and `throughput/data_wait`, in [0, 1], exclude validation,
    checkpoints, the time between epochs, and batches before which a round was pruned and
    validated. `throughput/images_seen` counts from the first step of the run, across resumes.
    This callback must stand before those that work between batches.
    """

    def __init__(self) -> None:
        self._batch_end: float | None = None
        self._batch_start = self._waited_s = self._elapsed_s = 0.0
        self._images = self._images_seen = self._rounds = 0

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the number of images.

        Not as a callback's state: Lightning would warn about it in other subcommands.
        """
        checkpoint["images_seen"] = self._images_seen
        self._batch_end = None

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Restore the number of images."""
        self._images_seen = checkpoint.get("images_seen", 0)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Exclude the time between epochs."""
        self._reset()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Exclude a validation within an epoch."""
        self._batch_end = None

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Add the time waited for this batch."""
        now = time.perf_counter()
        if self._batch_end is not None:
            self._waited_s += now - self._batch_end
            self._elapsed_s += now - self._batch_end
        self._batch_start, self._rounds = now, _validated_rounds(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the images, and log where Lightning logs."""
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
