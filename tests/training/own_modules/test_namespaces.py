"""`pytorch_lightning` is another package with the same classes."""

import pytest
import pytorch_lightning as pl
import torch

from tests.training.own_modules.modules import (
    HALVED,
    Classifier,
    Sparsities,
    batches,
    halving,
    mlp,
    weights,
    zeros,
)

QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
    "max_epochs": 3,
}


class Older(pl.LightningModule):
    """The module of `modules`, of the other package."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()
        self.lr = 1e-2

    forward = Classifier.forward
    training_step = Classifier.training_step
    validation_step = Classifier.validation_step
    configure_optimizers = Classifier.configure_optimizers


def fit_older(tmp_path, *callbacks, **options):
    module = Older()
    trainer = pl.Trainer(default_root_dir=tmp_path, callbacks=list(callbacks), **QUIET, **options)
    trainer.fit(module, batches(), batches(seed=2))
    return module, trainer


def test_weights_and_metrics_are_the_same(fit, tmp_path):
    pruning, watch = halving(monitor="accuracy"), Sparsities()
    module, _ = fit_older(tmp_path, pruning, watch)
    same, reference = Classifier(), halving(monitor="accuracy")
    fit(same, reference)
    assert watch.seen == HALVED
    assert pruning.state.rounds == reference.state.rounds
    for ours, theirs in zip(module.parameters(), same.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_resume(tmp_path):
    _, trainer = fit_older(tmp_path, halving())
    trainer.save_checkpoint(tmp_path / "older.ckpt")
    module, watch = Older(), Sparsities()
    trainer = pl.Trainer(callbacks=[halving(), watch], **{**QUIET, "max_epochs": 4})
    trainer.fit(module, batches(), batches(seed=2), ckpt_path=tmp_path / "older.ckpt")
    assert watch.seen == [0.5] * 4


@pytest.mark.parametrize("order", [1, -1], ids=["after", "before"])
def test_an_average(tmp_path, order):
    validated = []

    class Watches(pl.Callback):
        def on_validation_batch_start(self, trainer, pl_module, *_):
            validated.append(zeros(*weights(pl_module)))

    average = pl.callbacks.EMAWeightAveraging(decay=0.9)
    pruning, watch = halving(), Sparsities()
    module, _ = fit_older(tmp_path, *[pruning, average][::order], Watches(), watch)
    assert watch.seen == HALVED
    assert validated == [0.25] * 4 + [0.5] * 8
    assert pruning.state.sparsity == zeros(*weights(module)) == 0.5


def test_early_stopping_counts_epochs_only(tmp_path):
    stopping = pl.callbacks.EarlyStopping("accuracy", mode="max", patience=100)
    seen = []
    stopping._run_early_stopping_check = lambda trainer: seen.append(trainer.current_epoch)
    fit_older(tmp_path, halving(monitor="accuracy"), stopping)
    assert seen == [0, 1, 2]
