"""A short pruning run, and the export of its checkpoints."""

from dataclasses import dataclass
from pathlib import Path

import torch

from tests.conftest import quiet_trainer
from vitprune.data import ImageData
from vitprune.exports.checkpoint import export_checkpoint
from vitprune.exports.choices import Choices
from vitprune.model import ViTClassifier
from vitprune.pruning import Cubic, IterativePruning
from vitprune.runs.checkpoint import TrainingCheckpoint
from vitprune.runs.metrics import MetricsCSV
from vitprune.runs.report import RunReport
from vitprune.runs.run_folder import RunFolder
from vitprune.training.checkpoints import RunCheckpoints

LABELS = [str(digit) for digit in range(10)]


@dataclass(frozen=True)
class PruningRun:
    """A run that is over.

    Attributes:
        folder: Folder of the run.
        pretrained: Folder of the model that it started from.
        model: The trained module.
        data: The images it was trained on.

    """

    folder: RunFolder
    pretrained: Path
    model: ViTClassifier
    data: ImageData

    @property
    def last(self) -> TrainingCheckpoint:
        """The last checkpoint."""
        return read(self.folder.last)


def digits(pretrained, **options) -> ImageData:
    """Return a few digits."""
    few = {"max_images": {"train": 96, "validation": 50}, "batch_size": 32, "num_workers": 0}
    return ImageData("digits", str(pretrained), **{**few, **options})


def train(
    folder, pretrained, schedule=None, max_epochs=3, data=None, distillation=None, **pruning
) -> PruningRun:
    """Prune a pretrained model on a few digits."""
    torch.manual_seed(0)
    model = ViTClassifier(
        str(pretrained), labels=LABELS, learning_rate=1e-3, distillation=distillation
    )
    run = PruningRun(RunFolder(folder), pretrained, model, data or digits(pretrained))
    pruning = IterativePruning(schedule or Cubic(0.8, end=1), **pruning)
    trainer = quiet_trainer(
        folder,
        callbacks=[pruning, RunCheckpoints()],
        enable_checkpointing=True,
        max_epochs=max_epochs,
        logger=[MetricsCSV(run.folder)],
    )
    trainer.fit(model, run.data)
    return run


def read(path) -> TrainingCheckpoint:
    """Return a checkpoint as `TrainingCheckpoint.read` does, whatever its format."""
    return TrainingCheckpoint(path, torch.load(path, weights_only=True))


def export(run, checkpoint=None, target=None, **choices) -> RunReport:
    """Export a checkpoint of a run, by default the last one to the folder of its export."""
    return export_checkpoint(
        checkpoint or run.last,
        run.model.net.config,
        run.data,
        target or run.folder.export.path,
        seed=42,
        choices=Choices(**choices),
    )
