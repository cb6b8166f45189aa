"""The callback in a Trainer of `lightning` or of `pytorch_lightning`, whose classes differ."""

import lightning.pytorch
import pytest
import pytorch_lightning
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.optim.swa_utils import get_ema_avg_fn

from tests.conftest import Regression, regression_loader
from vitprune.pruning import Cubic, IterativePruning, Taylor

NAMESPACES = [lightning.pytorch, pytorch_lightning]
either = pytest.mark.parametrize("namespace", NAMESPACES, ids=lambda one: one.__name__)
QUIET = {
    "accelerator": "cpu",
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}


def module_of(namespace):
    """Return the same network and steps as a LightningModule of a namespace."""
    torch.manual_seed(0)

    class Module(namespace.LightningModule):
        forward = Regression.forward
        training_step = Regression.training_step
        validation_step = Regression.validation_step
        configure_optimizers = Regression.configure_optimizers

        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(8, 16), nn.Linear(16, 4)
            self.optimizer, self.options = torch.optim.AdamW, {}

    return Module()


def zeros_of(layer):
    return float((layer.weight == 0).float().mean())


def train(namespace, folder, epochs, ckpt_path=None, **options):
    module = module_of(namespace)
    pruning = IterativePruning(Cubic(0.5, end=2), Taylor(), monitor="val/score")
    callbacks = [pruning, *options.pop("callbacks", [])]
    trainer = namespace.Trainer(
        default_root_dir=folder, max_epochs=epochs, callbacks=callbacks, **QUIET, **options
    )
    loader = regression_loader()
    trainer.fit(module, loader, loader, ckpt_path=ckpt_path, weights_only=True)
    return module, pruning, trainer


def test_both_train_resume_and_validate_alike(tmp_path):
    results = []
    for namespace in NAMESPACES:
        folder = tmp_path / namespace.__name__
        every = namespace.callbacks.ModelCheckpoint(folder, "{epoch}", save_top_k=-1)
        train(namespace, folder, 3, callbacks=[every], logger=False)
        module, pruning, trainer = train(
            namespace, folder, 5, folder / "epoch=0.ckpt", callbacks=[every], logger=False
        )
        metrics = trainer.validate(module, regression_loader(), verbose=False)
        zeros = [zeros_of(module.first), zeros_of(module.second)]
        results.append((metrics, pruning.state.rounds, zeros, module(torch.ones(1, 8)).tolist()))
    assert results[0] == results[1]
    assert results[0][2] == [0.5, 0.5]


@either
def test_the_average_of_either_is_as_sparse(tmp_path, namespace):
    average = namespace.callbacks.WeightAveraging(use_buffers=False, avg_fn=get_ema_avg_fn(0.9))
    module, _, _ = train(
        namespace, tmp_path, 4, callbacks=[average], enable_checkpointing=False, logger=False
    )
    assert zeros_of(module.first) == 0.5


@either
def test_histograms_reach_the_tensorboard_of_either(tmp_path, namespace):
    logger = namespace.loggers.TensorBoardLogger(tmp_path)
    train(namespace, tmp_path, 3, logger=logger, enable_checkpointing=False)
    events = EventAccumulator(logger.log_dir).Reload()
    assert events.Tags()["histograms"] == ["weights/first", "weights/second"]
