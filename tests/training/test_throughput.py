"""How fast a run is, by a clock that only moves where the test says so."""

from types import SimpleNamespace

import pytest
import torch
from lightning import Callback
from torch.utils.data import DataLoader, Dataset

from tests.conftest import Regression, quiet_trainer
from vitprune.pruning import Cubic, IterativePruning
from vitprune.runs.metrics import MetricsCSV, read_metrics
from vitprune.runs.run_folder import RunFolder
from vitprune.training.throughput import Throughput

LOAD, STEP, OTHER, BATCH = 1.0, 3.0, 1000.0, 2


class Clock:
    now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Images(Dataset):
    def __init__(self, clock, seconds):
        self.clock, self.seconds = clock, seconds

    def __len__(self):
        return 4 * BATCH

    def __getitem__(self, index):
        self.clock.now += self.seconds / BATCH
        return {"x": torch.ones(8), "y": torch.ones(4), "labels": torch.tensor(0)}


class Timed(Regression):
    def __init__(self, clock):
        super().__init__()
        self.clock = clock

    def training_step(self, batch, batch_idx):
        self.clock.now += STEP
        return super().training_step((batch["x"], batch["y"]), batch_idx)

    def validation_step(self, batch, batch_idx):
        self.clock.now += OTHER
        self.log("val/accuracy", 0.5, batch_size=BATCH)


class Saving(Callback):
    def __init__(self, clock):
        self.clock = clock

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if batch_idx == 2:
            trainer.save_checkpoint(trainer.default_root_dir + "/some.ckpt")

    def on_save_checkpoint(self, trainer, pl_module, checkpoint):
        self.clock.now += OTHER


def test_nothing_but_steps_and_loading_counts(tmp_path, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(
        "vitprune.training.throughput.time", SimpleNamespace(perf_counter=clock.perf_counter)
    )
    loaders = [
        DataLoader(Images(clock, seconds), batch_size=BATCH, num_workers=0)
        for seconds in (LOAD, 0.0)
    ]
    callbacks = [
        Throughput(),
        IterativePruning(Cubic(0.5, begin=1, end=1)),
        Saving(clock),
    ]
    trainer = quiet_trainer(
        tmp_path,
        max_epochs=2,
        callbacks=callbacks,
        logger=MetricsCSV(RunFolder(tmp_path)),
        val_check_interval=2,
        log_every_n_steps=99,
    )
    trainer.fit(Timed(clock), *loaders)
    metrics = read_metrics(RunFolder(tmp_path))
    # four steps, and one wait: the others are behind a validation or a save. In the second epoch a
    # round precedes the first step.
    for epoch, steps in enumerate((4, 3)):
        seconds = steps * STEP + LOAD
        assert list(metrics["throughput/data_wait"].values())[epoch] == pytest.approx(
            LOAD / seconds
        )
        assert list(metrics["throughput/images_per_s"].values())[epoch] == pytest.approx(
            steps * BATCH / seconds
        )
    assert list(metrics["throughput/images_seen"].values()) == [8, 16]
