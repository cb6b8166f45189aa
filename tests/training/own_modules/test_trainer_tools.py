"""Lightning's tuners, finders and gradient accumulation schedulers."""

import pytest
import torch
from lightning.pytorch.callbacks import (
    BatchSizeFinder,
    GradientAccumulationScheduler,
    LearningRateFinder,
    ModelCheckpoint,
)
from lightning.pytorch.tuner import Tuner

from tests.conftest import quiet_trainer
from tests.training.own_modules.modules import (
    HALVED,
    Classifier,
    Sparsities,
    batches,
    halving,
    have_the_same_parameters,
    weights,
    zeros,
)
from vitprune.exports.model import export
from vitprune.pruning import IterativePruning, Linear, Movement

FINDER = {"num_training": 8, "min_lr": 1e-5, "max_lr": 1e-1}
pytestmark = [
    # warnings of Lightning about short runs
    pytest.mark.filterwarnings("ignore:.*lr_find.*"),
    pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step\\(\\)`"),
]


class Sized(Classifier):
    """A module whose batch size can be changed."""

    batch_size = 4

    def train_dataloader(self):
        return batches(batch_size=self.batch_size)

    def val_dataloader(self):
        return batches(seed=2, batch_size=self.batch_size)


def tuned(tmp_path, pruning, watch, method, **options):
    module = Sized()
    trainer = quiet_trainer(tmp_path, max_epochs=3, callbacks=[pruning, watch])
    getattr(Tuner(trainer), method)(module, **options)
    watch.seen.clear()
    trainer.fit(module)
    return module


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("lr_find", {**FINDER, "update_attr": True}),
        ("scale_batch_size", {"max_trials": 1, "steps_per_trial": 1}),
    ],
)
def test_a_tuner_before_the_fit(tmp_path, method, options):
    """Its trial steps leave neither rounds nor zeros."""
    pruning, watch = halving(), Sparsities()
    module = tuned(tmp_path, pruning, watch, method, **options)
    steps = 32 // module.batch_size
    assert watch.seen == [0.25] * steps + [0.5] * 2 * steps
    assert [round.epoch for round in pruning.state.rounds] == [0, 1]


@pytest.mark.parametrize("order", [1, -1], ids=["after", "before"])
@pytest.mark.parametrize(
    "finder",
    [
        lambda: LearningRateFinder(num_training_steps=8, min_lr=1e-5, max_lr=1e-1),
        lambda: BatchSizeFinder(max_trials=1, steps_per_trial=1),
    ],
    ids=["LearningRateFinder", "BatchSizeFinder"],
)
def test_a_finder_as_a_callback(tmp_path, finder, order):
    pruning, module, watch = halving(), Sized(), Sparsities()
    callbacks = [*[pruning, finder()][::order], watch]
    trainer = quiet_trainer(tmp_path, max_epochs=3, callbacks=callbacks)
    trainer.fit(module)
    steps = 32 // module.batch_size
    assert watch.seen[-3 * steps :] == [0.25] * steps + [0.5] * 2 * steps
    assert len(pruning.state.rounds) == 2
    assert zeros(*weights(module)) == 0.5


class FinderInTraining(LearningRateFinder):
    """As in Lightning's documentation; it loads a checkpoint when it is done."""

    def on_fit_start(self, trainer, pl_module):
        """Find nothing yet."""

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch > 0:
            self.lr_find(trainer, pl_module)


@pytest.mark.parametrize("order", [1, -1], ids=["after", "before"])
@pytest.mark.parametrize("criterion", [None, Movement()])
def test_a_finder_within_training(fit, order, criterion):
    pruning = IterativePruning(Linear(0.5, begin=1, end=2), criterion, monitor=None)
    finder = FinderInTraining(num_training_steps=8, min_lr=1e-5, max_lr=1e-1)
    module, watch = Classifier(), Sparsities()
    fit(module, *[pruning, finder][::order], watch, max_epochs=4)
    assert watch.seen == [0.0] * 4 + [0.25] * 4 + [0.5] * 8
    assert len(pruning.state.rounds) == 2


@pytest.mark.parametrize("order", [1, -1], ids=["after", "before"])
def test_a_scheduler_of_accumulation(fit, order):
    pruning, watch = halving(), Sparsities()
    fit(Classifier(), *[pruning, GradientAccumulationScheduler({0: 2, 1: 4})][::order], watch)
    assert watch.seen == HALVED
    assert pruning.state.finished


def test_rounds_are_counted_in_optimizer_steps(fit):
    pruning = IterativePruning(Linear(0.5, end=2, every=2, unit="step"), monitor=None)
    watch = Sparsities()
    fit(Classifier(), pruning, watch, accumulate_grad_batches=2)
    assert watch.seen == [0.25] * 4 + [0.5] * 8


def test_the_best_checkpoint_by_lightning(fit, tmp_path):
    """Its metric is that of the weights in it; validations just after pruning save nothing."""
    best = ModelCheckpoint(tmp_path, monitor="accuracy", mode="max", save_top_k=-1)
    module = Classifier()
    trainer = fit(module, halving(monitor="accuracy"), best, enable_checkpointing=True)
    assert len(best.best_k_models) == 3
    for path, accuracy in best.best_k_models.items():
        saved = Classifier.load_from_checkpoint(path)
        metrics = trainer.validate(saved, batches(seed=2), verbose=False)[0]
        assert metrics["accuracy"] == pytest.approx(float(accuracy))


def test_a_module_is_exported_in_every_validation(tmp_path):
    """Each export is sparse, and training continues unchanged."""
    from tests.conftest import Regression, tiny_net

    class ViT(Regression):
        exports: bool

        def __init__(self) -> None:
            super().__init__()
            self.net = tiny_net().train()
            del self.first, self.second

        def training_step(self, batch, batch_idx):
            logits = self.net(pixel_values=batch[0]).logits
            return torch.nn.functional.cross_entropy(logits, batch[1])

        def validation_step(self, batch, batch_idx):
            if self.exports:
                folder = tmp_path / f"epoch-{self.current_epoch}"
                sparsities.append(export(self, folder).sparsity)

    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    loader = torch.utils.data.DataLoader([(images, torch.arange(4))], batch_size=None)
    modules, sparsities = [], []
    for exports in (True, False):
        module = ViT()
        module.exports = exports
        trainer = quiet_trainer(tmp_path, max_epochs=2, callbacks=[halving()])
        trainer.fit(module, loader, loader)
        modules.append(module)
    assert len(sparsities) == 2
    assert have_the_same_parameters(*modules)
