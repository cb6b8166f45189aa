"""The configuration of a run, in its folder."""

import os
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback


class SaveConfig(SaveConfigCallback):
    """Write `config.yaml` when training begins, also of a run that goes on, for what is changed about it holds from then on."""

    already_saved: bool

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Not yet: what is changed may still be refused."""

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Write it, whole or not at all."""
        if self.already_saved:
            return
        self.already_saved, folder = (
            True,
            Path(str(trainer.log_dir)),
        )  # which all processes ask for together
        if trainer.is_global_zero:
            folder.mkdir(parents=True, exist_ok=True)
            scratch = folder / f".{self.config_filename}.partial"
            self.parser.save(self.config, scratch, skip_none=False, overwrite=True, multifile=False)
            os.replace(scratch, folder / self.config_filename)
            (folder / "hparams.yaml").unlink(missing_ok=True)  # TensorBoard's logger writes it anew
