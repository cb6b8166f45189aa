"""Lightning's trainer with every verb of this program, and its progress bar."""

from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar

from vitprune.cli.measuring_trainer import MeasuringTrainer
from vitprune.data import ImageData
from vitprune.evaluation.measuring import batch_limit
from vitprune.export.checkpoint import export_checkpoint
from vitprune.export.choices import Choices, DType, ShrinkMode
from vitprune.export.formats import parse_formats
from vitprune.export.summary import summarize
from vitprune.model import ViTClassifier
from vitprune.runs.checkpoint import TrainingCheckpoint
from vitprune.runs.checkpoint_files import read_checkpoint
from vitprune.runs.report import RunReport


class PruningTrainer(MeasuringTrainer):
    """Lightning's trainer, with the verb `export` beside those that measure."""

    def export(
        self,
        model: ViTClassifier,
        datamodule: ImageData,
        ckpt_path: str,
        output: str | None = None,
        formats: str = "hf",
        shrink: ShrinkMode = "auto",
        dtype: DType = "float32",
    ) -> RunReport:
        """Export the model of a checkpoint to a folder that plain `transformers` loads.

        Args:
            model: Provides the configuration of the transformer.
            datamodule: Provides validation images and the image processor.
            ckpt_path: Training checkpoint, or the folder of a run.
            output: Folder of the export; by default `export` in the folder of the run.
            formats: Further formats, separated by commas: pt2, onnx, compressed, semi_structured.
                hf is always written.
            shrink: auto physically removes all structure that can be removed exactly, required
                raises an error if zeroed structure stays, off removes nothing.
            dtype: Type of the stored weights.

        """
        checkpoint = TrainingCheckpoint(Path(ckpt_path), read_checkpoint(ckpt_path))
        folder = Path(output) if output else checkpoint.run.export.path
        report = export_checkpoint(
            checkpoint,
            model.net.config,
            datamodule,
            folder,
            device=self.strategy.root_device,
            validation_batches=batch_limit(
                self.limit_val_batches, len(datamodule.whole_validation())
            ),
            seed=datamodule.seed,
            choices=Choices(parse_formats(formats), shrink, dtype),
        )
        datamodule.bad_images.report()
        print(f"exported {checkpoint.path} to {folder}:\n{summarize(report)}")
        return report


class Progress(RichProgressBar):
    """A progress bar of metrics alone."""

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Leave out the version of the run, which is no metric."""
        return {
            name: value
            for name, value in super().get_metrics(trainer, pl_module).items()
            if name != "v_num"
        }

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the epoch's metrics, which all processes must reduce together, though one alone shows them."""
        _ = trainer.progress_bar_metrics
        super().on_train_epoch_end(trainer, pl_module)
