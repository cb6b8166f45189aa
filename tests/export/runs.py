"""A short pruning run, and the export of its checkpoints."""

import torch

from tests.conftest import quiet_trainer
from vitprune.data import ImageData
from vitprune.export.checkpoint import export_checkpoint
from vitprune.export.choices import Choices
from vitprune.model import ViTClassifier
from vitprune.pruning import Cubic, IterativePruning
from vitprune.runs.checkpoint import TrainingCheckpoint
from vitprune.runs.metrics import MetricsCSV
from vitprune.runs.run_folder import RunFolder
from vitprune.training.checkpoints import RunCheckpoints


def train(folder, pretrained, schedule=None, max_epochs=3, distillation=None, **pruning_options):
    """Prune a pretrained model on a few digits; return the model and its data."""
    torch.manual_seed(0)
    labels = [str(d) for d in range(10)]
    model = ViTClassifier(
        str(pretrained), labels=labels, learning_rate=1e-3, distillation=distillation
    )
    data = ImageData(
        "digits",
        str(pretrained),
        batch_size=32,
        num_workers=0,
        max_images={"train": 96, "validation": 50},
    )
    pruning = IterativePruning(schedule or Cubic(0.8, end_epoch=1), **pruning_options)
    trainer = quiet_trainer(
        folder,
        callbacks=[pruning, RunCheckpoints()],
        enable_checkpointing=True,
        max_epochs=max_epochs,
        logger=[MetricsCSV(RunFolder(folder))],
    )
    trainer.fit(model, data)
    return model, data


def read(path):
    """Return a checkpoint as `TrainingCheckpoint.read` does, whatever its format."""
    return TrainingCheckpoint(path, torch.load(path, weights_only=True))


def export(folder, model, data, which="last", **choices):
    """Export a checkpoint of a run to the folder `export` in it; return the report."""
    checkpoint = read(folder / "checkpoints" / f"{which}.ckpt")
    return export_checkpoint(
        checkpoint,
        model.net.config,
        data,
        folder / "export",
        seed=42,
        choices=Choices(**choices),
    )
