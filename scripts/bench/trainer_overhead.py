"""`fit` with everything on (masks, callbacks, logs, checks) against a bare PyTorch loop over the
same tensors.

    python -m scripts.bench.trainer_overhead [--batch_size 16] [--steps 30] [--repeats 3]

Both train a DeiT-Tiny architecture on the same prepared batches; the bare loop has no masks and no
logs. Runs alternate.
"""

import argparse
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn
from torch.utils.data import DataLoader

from vitprune.model import ViTClassifier
from vitprune.pruning import IterativePruning, OneShot
from vitprune.runs.checkpoint_io import AtomicCheckpointIO
from vitprune.runs.metrics import MetricsCSV
from vitprune.runs.run_folder import RunFolder
from vitprune.training.checkpoints import RunCheckpoints
from vitprune.training.exact_resume import ExactResume
from vitprune.training.guards import StopOnNaN
from vitprune.training.throughput import Throughput

TINY = {"model_type": "vit", "hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768}
LABELS = [str(i) for i in range(10)]


def batches(size: int, steps: int) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    batch = {
        "pixel_values": torch.randn(size, 3, 224, 224, generator=generator),
        "labels": torch.randint(0, 10, (size,), generator=generator),
    }
    return [batch] * steps


def bare(data: list[dict[str, torch.Tensor]]) -> float:
    net = ViTClassifier(architecture=dict(TINY), labels=LABELS).net
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-5)
    start = time.perf_counter()
    for batch in data:
        nn.functional.cross_entropy(
            net(pixel_values=batch["pixel_values"]).logits, batch["labels"]
        ).backward()
        optimizer.step()
        optimizer.zero_grad()
    return time.perf_counter() - start


class Stopwatch(RunCheckpoints):
    """The run's own checkpoint callback, which also notes the time from the first to the last training step."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: ViTClassifier) -> None:
        self.start = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: ViTClassifier) -> None:
        self.elapsed = time.perf_counter() - self.start
        super().on_train_epoch_end(trainer, pl_module)


def full(data: list[dict[str, torch.Tensor]], folder: str) -> float:
    watch = Stopwatch()
    logger = TensorBoardLogger(folder)
    callbacks = [
        IterativePruning(OneShot(0.8), monitor=None),
        StopOnNaN(),
        Throughput(),
        ExactResume(),
        watch,
    ]
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=[logger, MetricsCSV(RunFolder(Path(logger.log_dir)))],
        callbacks=[*callbacks, LearningRateMonitor(logging_interval="step")],
        plugins=[AtomicCheckpointIO()],
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=10,
    )
    trainer.fit(
        ViTClassifier(architecture=dict(TINY), labels=LABELS), DataLoader(data, batch_size=None)
    )
    return watch.elapsed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    data = batches(options.batch_size, options.steps)
    bare(data[:3])
    pairs = []
    for repeat in range(options.repeats):
        with tempfile.TemporaryDirectory() as folder:
            runs = [lambda: bare(data), lambda folder=folder: full(data, folder)]
            if repeat % 2:
                second, first = runs[1](), runs[0]()
            else:
                first, second = runs[0](), runs[1]()
        pairs.append((first, second))
    images = options.batch_size * options.steps
    print(f"bare loop  {images / statistics.median(b for b, _ in pairs):.2f} images/s")
    print(
        f"fit        {images / statistics.median(f for _, f in pairs):.2f} images/s, mask update "
        "and logs included"
    )
    print(
        f"ratio      {statistics.median(b / f for b, f in pairs):.3f} of the bare loop's images/s "
        "(median of pairs)"
    )


if __name__ == "__main__":
    main()
