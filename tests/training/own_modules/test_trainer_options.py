"""Options of the Trainer."""

import pytest
import torch
from lightning import Trainer

from tests.conftest import quiet_trainer
from tests.training.own_modules.modules import (
    HALVED,
    Classifier,
    Sparsities,
    batches,
    halving,
    weights,
    zeros,
)
from vitprune.pruning import IterativePruning, Linear

OPTIONS = [
    {"precision": "bf16-mixed"},
    {"precision": "bf16-true"},
    {"precision": "64-true"},
    {"gradient_clip_val": 0.1, "gradient_clip_algorithm": "value"},
    {"num_sanity_val_steps": 2},
    {"limit_val_batches": 0},
    {"check_val_every_n_epoch": 2},
    {"val_check_interval": 2},
    {"reload_dataloaders_every_n_epochs": 1},
    {"overfit_batches": 4},
    {"max_epochs": -1, "max_steps": 12},
    {"detect_anomaly": True},
    {"inference_mode": False},
    {"profiler": "simple"},
    {"log_every_n_steps": 1, "logger": True},
]


class Trains(Classifier):
    """A module that validates nothing."""

    validation_step = None


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_rounds_come_and_masks_hold(tmp_path, options):
    monitor = None if options.get("limit_val_batches") == 0 else "accuracy"
    module, pruning, watch = Classifier(), halving(monitor=monitor), Sparsities()
    trainer = quiet_trainer(tmp_path, callbacks=[pruning, watch], **{"max_epochs": 3, **options})
    trainer.fit(module, batches(), batches(seed=2))
    assert watch.seen == HALVED
    assert pruning.state.finished


def test_the_fastest_trainer():
    """It warns of whatever is logged, and the callback logs nothing then."""
    watch = Sparsities()
    trainer = Trainer(accelerator="cpu", barebones=True, max_epochs=3, callbacks=[halving(), watch])
    trainer.fit(Trains(), batches())
    assert watch.seen == HALVED


def test_a_dry_run(fit):
    module, pruning = Classifier(), halving(monitor="accuracy")
    fit(module, pruning, fast_dev_run=True)
    assert zeros(*weights(module)) == 0.25


def test_no_validation_at_all(tmp_path):
    watch = Sparsities()
    trainer = quiet_trainer(tmp_path, callbacks=[halving(), watch], max_epochs=3)
    trainer.fit(Trains(), batches())
    assert watch.seen == HALVED


def test_a_stream_without_length(tmp_path):
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(batches().dataset)

    module, watch = Classifier(), Sparsities()
    pruning = IterativePruning(Linear(0.5, end=4, every=4, unit="step"), monitor=None)
    trainer = quiet_trainer(tmp_path, callbacks=[pruning, watch], max_epochs=3)
    trainer.fit(module, torch.utils.data.DataLoader(Stream(), batch_size=8), batches(seed=2))
    assert watch.seen == HALVED


def test_several_validation_loaders(tmp_path):
    class Several(Classifier):
        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            super().validation_step(batch, batch_idx)

    pruning = halving(monitor="accuracy/dataloader_idx_1")
    trainer = quiet_trainer(tmp_path, callbacks=[pruning], max_epochs=3)
    loaders = [batches(seed=2), batches(seed=3)]
    trainer.fit(Several(), batches(), loaders)
    assert None not in [round.pruned for round in pruning.state.rounds]
