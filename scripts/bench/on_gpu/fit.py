"""Fast: `fit` with everything on, against a bare loop."""

import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader, Dataset

from scripts.bench.interleaved import interleave
from scripts.bench.on_gpu.figures import Figure
from scripts.bench.on_gpu.scale import CLASSES, Scale
from scripts.bench.on_gpu.steps import SPARSITY, Training
from scripts.bench.on_gpu.timing import milliseconds
from vitprune.model import ViTClassifier
from vitprune.pruning import IterativePruning, OneShot
from vitprune.runs.checkpoint_io import AtomicCheckpointIO
from vitprune.runs.metrics import MetricsCSV
from vitprune.runs.run_folder import RunFolder
from vitprune.training.exact_resume import ExactResume
from vitprune.training.guards import StopOnNaN
from vitprune.training.throughput import Throughput

FIT = 0.98  # of the images/s of a bare loop, at least


class Stopwatch(Callback):
    """Time the training steps of the second epoch; the first one compiles."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.start = self.elapsed_ms = 0.0

    def _now(self) -> float:
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start."""
        self.start = self._now()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop."""
        self.elapsed_ms = 1e3 * (self._now() - self.start)


def fit(scale: Scale) -> Iterator[Figure]:
    """Measure the smallest of the large models: masked steps, in a loop and by `fit`."""
    warnings.simplefilter("ignore")
    name = scale.large_models[0]
    bare = Training(scale, name, scale.batch(name, scale.batch_size), masked=True)
    bare.step()
    count = 4 if scale.quick else 30
    times = interleave(
        {
            "bare loop": lambda: milliseconds(bare.step, scale.device, count),
            "fit": lambda: _fit_ms(scale, name, count),
        },
        repeats=1 if scale.quick else 3,
        warm_up=0,
    )
    for label in times.values:
        rate = 1e3 * scale.batch_size / times.median(label)
        yield Figure(f"{name}, {label}", rate, "images/s")
    ratio = times.ratio("bare loop", "fit")
    yield Figure(
        "fit / bare loop, images/s",
        ratio.median,
        passed=ratio.median >= FIT if scale.on_gpu else None,
        note=str(ratio),
    )


def _fit_ms(scale: Scale, name: str, steps: int) -> float:
    """Return the milliseconds of a step of `fit`."""
    images, labels = scale.batch(name, scale.batch_size)
    batches = [{"pixel_values": images, "labels": labels}] * steps
    architecture = {"model_type": "vit", **scale.architecture(name)}
    model = ViTClassifier(
        architecture=architecture,
        labels=[str(number) for number in range(CLASSES)],
        compile=scale.on_gpu,
        channels_last=True,
    )
    watch = Stopwatch(scale.device)
    with tempfile.TemporaryDirectory() as folder:
        logger = TensorBoardLogger(folder)
        trainer = Trainer(
            accelerator=scale.device,
            devices=1,
            precision="bf16-mixed",
            max_epochs=2,
            logger=[logger, MetricsCSV(RunFolder(Path(logger.log_dir)))],
            callbacks=[
                IterativePruning(OneShot(SPARSITY), monitor=None),
                StopOnNaN(),
                Throughput(),
                ExactResume(),
                watch,
                LearningRateMonitor(logging_interval="step"),
            ],
            plugins=[AtomicCheckpointIO()],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            log_every_n_steps=10,
        )
        trainer.fit(model, DataLoader(cast(Dataset, batches), batch_size=None))
    return watch.elapsed_ms / steps
