"""The configuration of a run, saved in its folder."""

from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from vitprune.runs.atomic import replacing
from vitprune.runs.run_folder import RunFolder


class SaveConfig(SaveConfigCallback):
    """Write `config.yaml` at the first batch, also of a resumed run, whose settings may differ."""

    already_saved: bool

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Do nothing: the settings may still be refused."""

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Write the configuration, whole or not at all."""
        if self.already_saved:
            return
        self.already_saved = True
        run = RunFolder(Path(str(trainer.log_dir)))  # all processes must ask for it
        if trainer.is_global_zero:
            with replacing(run.config) as scratch:
                self.parser.save(
                    self.config, scratch, skip_none=False, overwrite=True, multifile=False
                )
            # the TensorBoard logger writes the hyperparameters a second time
            run.hyperparameters.unlink(missing_ok=True)
