"""How fast the run is, and how much of the time it waits for data."""

import time
from typing import Any

from lightning import Callback, LightningModule, Trainer


class Throughput(Callback):
    """Log `throughput/images_per_s` and `throughput/data_wait` (share of the time between batches, in [0, 1]).

    And `throughput/images_seen`, from the first step of the run, however often it was resumed.
    """

    def __init__(self) -> None:
        self._batch_end: float | None = None
        self._batch_start = self._waited_s = self._elapsed_s = 0.0
        self._images = self._images_seen = 0

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep the number of images; in a state of its own, Lightning would ask other verbs for this callback."""
        checkpoint["images_seen"] = self._images_seen

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Go on counting there."""
        self._images_seen = checkpoint.get("images_seen", 0)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave out what happens between epochs."""
        self._reset()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Stop the wait: a batch is there."""
        now = time.perf_counter()
        if self._batch_end is not None:
            self._waited_s += now - self._batch_end
            self._elapsed_s += now - self._batch_end
        self._batch_start = now

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the images, and log where Lightning logs."""
        self._batch_end = time.perf_counter()
        self._elapsed_s += self._batch_end - self._batch_start
        images = len(batch["labels"]) * trainer.world_size
        self._images += images
        self._images_seen += images
        every = trainer.log_every_n_steps or float("inf")
        if (trainer.fit_loop.total_batch_idx + 1) % every == 0 or trainer.is_last_batch:
            for logger in trainer.loggers:
                logger.log_metrics(
                    {
                        "throughput/images_per_s": self._images / self._elapsed_s,
                        "throughput/data_wait": self._waited_s / self._elapsed_s,
                        "throughput/images_seen": self._images_seen,
                    },
                    step=trainer.global_step,
                )
            self._reset()

    def _reset(self) -> None:
        self._batch_end = None
        self._waited_s = self._elapsed_s = 0.0
        self._images = 0
