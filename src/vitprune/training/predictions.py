"""Predictions as a CSV file."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor

from vitprune.errors import UsageError
from vitprune.runs.atomic import replacing


class PredictionsCSV(BasePredictionWriter):
    """Write `file, label, probability` of each image; with several processes, one file for each.

    Args:
        output: Path of the file.

    """

    def __init__(self, output: str = "predictions.csv") -> None:
        super().__init__(write_interval="epoch")
        self.output = Path(output)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a folder before predicting."""
        if self.output.is_dir():
            raise UsageError(
                f"predictions.output {str(self.output)!r} is a folder. Use the path of a file."
            )

    def write_on_epoch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        predictions: Sequence[dict[str, Tensor]],
        batch_indices: Sequence[Any],
    ) -> None:
        """Write the predictions of this process."""
        names = pl_module.net.config.id2label
        files = trainer.datamodule.predict_files
        target = self.output
        if trainer.world_size > 1:
            target = target.with_stem(f"{target.stem}-{trainer.global_rank}")
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as scratch, scratch.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("file", "label", "probability"))
            for batch in predictions:
                best = batch["probabilities"].max(dim=1)
                for image, label, probability in zip(
                    batch["images"].tolist(),
                    best.indices.tolist(),
                    best.values.tolist(),
                    strict=True,
                ):
                    writer.writerow((files[image], names[label], f"{probability:.6f}"))
        rank_zero_info(f"Predictions: {target}")
