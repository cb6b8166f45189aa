"""Predictions as a CSV file or as JSON lines."""

import csv
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor

from vitprune.errors import UsageError
from vitprune.runs.atomic import replacing
from vitprune.runs.write_errors import check_writable

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # beginnings that spreadsheets take for a formula


class Prediction(NamedTuple):
    """The most probable class of an image."""

    file: str
    label: str
    probability: float


class Predictions(BasePredictionWriter):
    """Write `file, label, probability` of each image that `vitprune predict` classifies.

    Each of several processes writes a file of its own.

    Args:
        output: Path of the file: JSON lines if it ends with `.jsonl`, else CSV.

    """

    def __init__(self, output: str = "predictions.csv") -> None:
        super().__init__(write_interval="epoch")
        self.output = Path(output)
        self._start = 0.0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a folder, and a file that may not be written, before predicting."""
        if self.output.is_dir():
            raise UsageError(
                f"predictions.output {str(self.output)!r} is a folder. Use the path of a file."
            )
        check_writable(self.output)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start to measure."""
        self._start = time.perf_counter()

    def write_on_epoch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        predictions: Sequence[dict[str, Tensor]],
        batch_indices: Sequence[Any],
    ) -> None:
        """Write the predictions of this process."""
        seconds = time.perf_counter() - self._start
        rows = list(_rows(predictions, trainer.datamodule.predict_files, pl_module.net.config))
        target = self.output
        if trainer.world_size > 1:
            target = target.with_stem(f"{target.stem}-{trainer.global_rank}")
        with replacing(target) as scratch:
            writer_for(target)(rows, scratch)
        rate = f"{len(rows)} images, {len(rows) / seconds:.1f} images/s"
        rank_zero_info(f"Predictions: {target} ({rate})")


def _rows(
    predictions: Iterable[dict[str, Tensor]], files: Sequence[Path], config: Any
) -> Iterator[Prediction]:
    for batch in predictions:
        best = batch["probabilities"].max(dim=1)
        for image, label, probability in zip(
            batch["images"].tolist(), best.indices.tolist(), best.values.tolist(), strict=True
        ):
            yield Prediction(str(files[image]), config.id2label[label], round(probability, 6))


def writer_for(target: Path) -> Callable[[Iterable[Prediction], Path], None]:
    """Return the function that writes predictions in the format of a file name."""
    return write_json_lines if target.suffix == ".jsonl" else write_csv


def write_csv(rows: Iterable[Prediction], file: Path) -> None:
    """Write a CSV file; in a cell that a spreadsheet would run as a formula, `'` comes first."""
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(Prediction._fields)
        for row in rows:
            probability = f"{row.probability:.6f}"
            writer.writerow((_as_text(row.file), _as_text(row.label), probability))


def _as_text(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def write_json_lines(rows: Iterable[Prediction], file: Path) -> None:
    """Write an object of `file`, `label` and `probability` on each line."""
    with file.open("w") as opened:
        opened.writelines(json.dumps(row._asdict()) + "\n" for row in rows)
