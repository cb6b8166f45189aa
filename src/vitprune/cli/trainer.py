"""Lightning's trainer with every verb of this program, and its progress bar."""

from pathlib import Path
from typing import Any, Literal

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar

from vitprune.cli.measuring_trainer import MeasuringTrainer
from vitprune.data import ImageData
from vitprune.evaluation.scan import batch_limit
from vitprune.export import export_checkpoint
from vitprune.export.export import Choices
from vitprune.export.formats import parse_formats
from vitprune.export.summary import summarize
from vitprune.model import ViTClassifier
from vitprune.runs.checkpoint import TrainingCheckpoint
from vitprune.runs.run_folder import RunFolder


class PruningTrainer(MeasuringTrainer):
    """Lightning's trainer, with the verb `export` beside those that measure."""

    def export(
        self,
        model: ViTClassifier,
        datamodule: ImageData,
        ckpt_path: str,
        output: str | None = None,
        formats: str = "hf",
        shrink: Literal["auto", "required", "off"] = "auto",
        dtype: Literal["float32", "float16", "bfloat16"] = "float32",
    ) -> dict[str, Any]:
        """Export the model of a checkpoint to a folder that plain `transformers` loads; return its
        report.

        Args:
            model: Gives the configuration of the transformer.
            datamodule: Scores the result.
            ckpt_path: A training checkpoint, or the folder of a run.
            output: The folder; by default `export` in the folder of the run.
            formats: What else to write, separated by commas: pt2, onnx, compressed,
                semi_structured. hf is always there.
            shrink: Drop what can be dropped exactly, refuse to leave dead structure behind, or drop
                nothing.
            dtype: Of the stored weights.

        """
        checkpoint_path = Path(ckpt_path)
        run = RunFolder.of_checkpoint(checkpoint_path) or RunFolder(checkpoint_path.parent)
        folder = Path(output) if output else run.export.path
        report = export_checkpoint(
            TrainingCheckpoint.read(checkpoint_path).content,
            model.net.config,
            datamodule,
            folder,
            self.strategy.root_device,
            run_folder=run.path,
            validation_batches=batch_limit(
                self.limit_val_batches, len(datamodule.whole_validation())
            ),
            seed=datamodule.seed,
            is_best=checkpoint_path.name == run.best.name,
            choices=Choices(parse_formats(formats), shrink, dtype),
        )
        datamodule.bad_images.report()
        print(f"Exported {checkpoint_path} to {folder}:\n{summarize(report)}")
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
