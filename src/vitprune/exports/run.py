"""The subcommand `export`."""

from pathlib import Path

from lightning import Trainer

from vitprune.data import ImageData
from vitprune.errors import UsageError
from vitprune.exports.checkpoint import export_checkpoint
from vitprune.exports.choices import Choices
from vitprune.exports.summary import summarize
from vitprune.model import ViTClassifier
from vitprune.runs.checkpoint import TrainingCheckpoint
from vitprune.runs.report import RunReport
from vitprune.training.evaluate import batch_limit


def run(
    trainer: Trainer,
    model: ViTClassifier,
    data: ImageData,
    ckpt_path: str,
    output: str | None,
    choices: Choices,
) -> RunReport:
    """Export the model of a training checkpoint and print a summary; see `export_checkpoint`.

    Args:
        trainer: Trainer with the device and `limit_val_batches`.
        model: Model with the configuration of the transformer.
        data: Data module, to evaluate the export.
        ckpt_path: Path of the checkpoint.
        output: Folder of the export; None for `export` in the folder of the run.
        choices: Formats, shrinking and type of the weights.

    Raises:
        UsageError: If the model cannot be exported, or not in all formats; see `export_checkpoint`.

    """
    checkpoint = TrainingCheckpoint.read(ckpt_path)
    folder = folder_of(checkpoint, output)
    report = export_checkpoint(
        checkpoint,
        model.net.config,
        data,
        folder,
        device=trainer.strategy.root_device,
        validation_batches=batch_limit(trainer.limit_val_batches, len(data.whole_validation())),
        seed=data.seed,
        choices=choices,
    )
    data.bad_images.report()
    which = f" (best epoch: {checkpoint.saved_in_epoch})" if checkpoint.is_best else ""
    print(f"Exported {checkpoint.path}{which} to {folder}:\n{summarize(report)}")
    if report.failed_formats:
        raise UsageError(
            f"{' '.join(report.failed_formats.values())} All other files are in {folder}."
        )
    return report


def folder_of(checkpoint: TrainingCheckpoint, output: str | None) -> Path:
    """Return the folder of the export of a checkpoint: as given, or in the folder of its run."""
    return Path(output) if output else checkpoint.run.export.path
