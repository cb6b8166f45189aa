"""The configuration of a run, saved in its folder."""

import os
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback


class SaveConfig(SaveConfigCallback):
    """Write `config.yaml` when training begins.

    A resumed run writes it again, since a changed setting is valid from then on.
    """

    already_saved: bool

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write nothing yet: the settings may still be refused."""

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Write the file atomically."""
        if self.already_saved:
            return
        self.already_saved = True
        folder = Path(str(trainer.log_dir))  # a collective call: on every rank
        if trainer.is_global_zero:
            folder.mkdir(parents=True, exist_ok=True)
            scratch = folder / f".{self.config_filename}.partial"
            self.parser.save(self.config, scratch, skip_none=False, overwrite=True, multifile=False)
            os.replace(scratch, folder / self.config_filename)
            (folder / "hparams.yaml").unlink(
                missing_ok=True
            )  # TensorBoard's logger writes it again
