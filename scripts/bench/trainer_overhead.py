"""`fit` with everything on (masks, callbacks, logs, checks) against a bare PyTorch loop.

    python -m scripts.bench.trainer_overhead [--batch_size 16] [--steps 30] [--repeats 3]

Both train a DeiT-Tiny architecture on the same prepared batches and take turns. The bare loop has
no masks and no logs.
"""

import argparse
import tempfile
import time
import warnings
from pathlib import Path
from typing import cast

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from scripts.bench.interleaved import interleave, seconds
from scripts.bench.models import ARCHITECTURES, random_batch
from vitprune.model import ViTClassifier
from vitprune.pruning import IterativePruning, OneShot
from vitprune.runs.checkpoint_io import AtomicCheckpointIO
from vitprune.runs.metrics import MetricsCSV
from vitprune.runs.run_folder import RunFolder
from vitprune.training.checkpoints import RunCheckpoints
from vitprune.training.exact_resume import ExactResume
from vitprune.training.guards import StopOnNaN
from vitprune.training.throughput import Throughput

LABELS = [str(i) for i in range(10)]


def prepared_batches(batch_size: int, steps: int) -> list[dict[str, Tensor]]:
    """Return the same random batch, so many times."""
    images, labels = random_batch(batch_size)
    return [{"pixel_values": images, "labels": labels}] * steps


class Stopwatch(RunCheckpoints):
    """The checkpoint callback of a run, which also times the training steps."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: ViTClassifier) -> None:
        """Start."""
        self.start = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: ViTClassifier) -> None:
        """Stop, before any checkpoint."""
        self.elapsed = time.perf_counter() - self.start
        super().on_train_epoch_end(trainer, pl_module)


def classifier() -> ViTClassifier:
    """Return a DeiT-Tiny with random weights."""
    architecture = {"model_type": "vit", **ARCHITECTURES["deit-tiny"]}
    return ViTClassifier(architecture=architecture, labels=LABELS)


def time_bare_loop(batches: list[dict[str, Tensor]]) -> float:
    """Return the seconds of a plain training loop."""
    net = classifier().net
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-5)

    def train() -> None:
        for batch in batches:
            logits = net(pixel_values=batch["pixel_values"]).logits
            nn.functional.cross_entropy(logits, batch["labels"]).backward()
            optimizer.step()
            optimizer.zero_grad()

    return seconds(train)


def time_fit(batches: list[dict[str, Tensor]]) -> float:
    """Return the seconds of the training steps of `fit`, a mask update included."""
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        logger = TensorBoardLogger(folder)
        trainer = Trainer(
            accelerator="cpu",
            max_epochs=1,
            logger=[logger, MetricsCSV(RunFolder(Path(logger.log_dir)))],
            callbacks=[
                IterativePruning(OneShot(0.8), monitor=None),
                StopOnNaN(),
                Throughput(),
                ExactResume(),
                watch,
                LearningRateMonitor(logging_interval="step"),
            ],
            plugins=[AtomicCheckpointIO()],
            enable_progress_bar=False,
            enable_model_summary=False,
            log_every_n_steps=10,
        )
        trainer.fit(classifier(), DataLoader(cast(Dataset, batches), batch_size=None))
    return watch.elapsed


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--batch_size", type=int, default=16, help="images in a step (default: %(default)s)"
    )
    parser.add_argument(
        "--steps", type=int, default=30, help="steps in a turn (default: %(default)s)"
    )
    parser.add_argument(
        "--repeats", type=int, default=3, help="turns of each (default: %(default)s)"
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    time_bare_loop(prepared_batches(options.batch_size, 3))  # the warm-up
    batches = prepared_batches(options.batch_size, options.steps)
    times = interleave(
        {"bare loop": lambda: time_bare_loop(batches), "fit": lambda: time_fit(batches)},
        options.repeats,
        warm_up=0,
    )
    images = options.batch_size * options.steps
    for name in times.values:
        print(f"{name:10} {images / times.median(name):.2f} images/s")
    print(f"ratio      {times.ratio('bare loop', 'fit')} of the images/s of the bare loop")


if __name__ == "__main__":
    main()
