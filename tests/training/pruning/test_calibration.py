"""Calibration runs the module's `training_step`, whatever it takes, returns or changes."""

import copy
from collections import deque

import pytest
import torch
from lightning import Callback
from lightning.pytorch.loggers.logger import DummyLogger
from torch import nn
from torch.utils.data import DataLoader, IterableDataset
from torchmetrics import MeanSquaredError

from tests.conftest import Regression, quiet_trainer, regression_loader
from vitprune.errors import UsageError
from vitprune.pruning import Cubic, Fisher, IterativePruning, LayerSelection, OneShot, Taylor, Wanda
from vitprune.training.pruning.calibration import calibrate_on

ITERATES = pytest.mark.filterwarnings("ignore:.*`dataloader_iter`")


class Calibrates(Callback):
    """Calibrate before the training, and at the given steps."""

    def __init__(self, criterion, *steps, images=80):
        self.criterion, self.steps, self.images = criterion, steps, images
        self.statistics = {}

    def setup(self, trainer, pl_module, stage):
        self.layers = LayerSelection().select(pl_module)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step in self.steps:
            self.statistics = calibrate_on(
                trainer, pl_module, self.criterion, self.layers, images=self.images, seed=1
            )


def statistics(folder, kind, criterion, images=80):
    torch.manual_seed(0)
    module = kind()
    calibrates = Calibrates(criterion, 0, images=images)
    trainer = quiet_trainer(
        folder, callbacks=[calibrates], max_steps=1, max_epochs=1, limit_val_batches=0
    )
    trainer.fit(module, regression_loader(images=80), regression_loader())
    return calibrates.statistics


class WithoutIndex(Regression):
    def training_step(self, batch):
        return super().training_step(batch, 0)


class InADict(Regression):
    def training_step(self, batch, batch_idx):
        return {"loss": super().training_step(batch, batch_idx), "images": len(batch[0])}


class FromAnIterator(Regression):
    def training_step(self, dataloader_iter):
        batch, batch_idx, _ = next(dataloader_iter)
        return super().training_step(batch, batch_idx)


class UnusedOutput(Regression):
    """Calls its second layer a second time, with an output that the loss does not use."""

    def training_step(self, batch, batch_idx):
        with torch.no_grad():
            self(batch[0])
        self(batch[0])
        return super().training_step(batch, batch_idx)


@pytest.mark.parametrize("criterion", [Taylor(), Fisher(), Wanda()])
@pytest.mark.parametrize(
    "kind", [WithoutIndex, InADict, pytest.param(FromAnIterator, marks=ITERATES)]
)
def test_the_statistics_do_not_depend_on_the_signature(tmp_path, kind, criterion):
    expected = statistics(tmp_path, Regression, criterion)
    found = statistics(tmp_path, kind, criterion)
    for name, value in expected.items():
        assert value.any()
        assert torch.equal(found[name], value)


def test_outputs_without_effect_on_the_loss_do_not_count(tmp_path):
    expected = statistics(tmp_path, Regression, Taylor())
    for name, value in statistics(tmp_path, UnusedOutput, Taylor()).items():
        torch.testing.assert_close(value, expected[name])


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("criterion", [Taylor(), Wanda()])
@pytest.mark.filterwarnings("ignore:.*training_step. returned .None.")
def test_a_batch_that_is_skipped_does_not_count(tmp_path, criterion, early):
    """80 images are three batches; the last two return None, before or after the forward pass."""

    class Skips(Regression):
        def training_step(self, batch, batch_idx):
            if early and batch_idx:
                return None
            loss = super().training_step(batch, batch_idx)
            return None if batch_idx else loss

    class FirstAgain(Regression):
        def training_step(self, batch, batch_idx):
            if not batch_idx:
                self.first_batch = batch
            return super().training_step(self.first_batch, batch_idx)

    whole = statistics(tmp_path, Regression, criterion)
    found = statistics(tmp_path, Skips, criterion)
    # twice the same batch: the mean over its images
    expected = statistics(tmp_path, FirstAgain, criterion, images=64)
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name])
        assert not torch.allclose(value, whole[name])


class Returns(Regression):
    def __init__(self, output):
        super().__init__()
        self.output = output

    def training_step(self, batch, batch_idx):
        super().training_step(batch, batch_idx)
        return self.output


class TwoAtOnce(Regression):
    def training_step(self, dataloader_iter):
        batches = [next(dataloader_iter)[0] for _ in range(2)]
        return sum(Regression.training_step(self, batch, 0) for batch in batches)


class Manual(Regression):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(super().training_step(batch, batch_idx))
        optimizer.step()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Returns({"accuracy": 1.0}),
            r"under the key 'loss'.*it returned keys \['accuracy'",
        ),
        (lambda: Returns(0.5), "must return the loss.*it returned float"),
        (lambda: Returns(None), "training_step. is None for every batch"),
        (Manual, "calibration needs .*manual optimization does not. Use a criterion without"),
        pytest.param(
            TwoAtOnce, "one batch from dataloader_iter; this one takes more", marks=ITERATES
        ),
    ],
)
def test_what_has_no_loss_is_refused_in_one_line(tmp_path, make, message):
    with pytest.raises(UsageError, match=message):
        statistics(tmp_path, make, Taylor())


class Momentum(Regression):
    """Its `training_step` changes attributes, buffers, metrics and modes."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.teacher = copy.deepcopy(self.first).requires_grad_(False)
        self.register_buffer("queue", torch.zeros(6, 8))
        self.register_buffer("mean", torch.zeros(8))
        self.error = MeanSquaredError()
        self.calls, self.losses, self.last = 0, [], deque(maxlen=3)
        self.counts = {"seen": 0}

    def training_step(self, batch, batch_idx):
        self.norm.train()
        self.calls += 1
        self.batch = batch
        with torch.no_grad():
            for mine, theirs in zip(
                self.teacher.parameters(), self.first.parameters(), strict=False
            ):
                mine.lerp_(theirs.reshape(mine.shape), 0.1)
            self.queue[self.calls % 6] = batch[0].mean(0)
            self.mean = 0.9 * self.mean + 0.1 * batch[0].mean(0)
        predicted = self.norm(self(nn.functional.dropout(batch[0], 0.2)))
        loss = nn.functional.mse_loss(predicted, batch[1])
        loss = loss + 0.1 * self.teacher(batch[0]).mean() * self.second.bias.mean()
        self.losses.append(loss.item())
        self.last.append(loss.item())
        self.counts["seen"] += len(batch[0])
        self.error.update(predicted, batch[1])
        self.log("train/loss", loss, on_step=True, on_epoch=True)
        self.log_dict({"train/error": self.error}, on_step=False, on_epoch=True)
        if batch_idx == 2:
            self.log("train/third", loss)
        self.logger.log_metrics({"by hand": loss.item()})
        return loss

    def on_train_epoch_end(self):
        self.losses.append(float(self.trainer.callback_metrics["train/error"]))


class Lines(DummyLogger):
    def __init__(self):
        super().__init__()
        self.lines = []

    def log_metrics(self, metrics, step=None):
        self.lines.append((step, dict(metrics)))


@pytest.mark.filterwarnings("ignore:Found .* in eval mode")
def test_calibration_leaves_no_trace_in_the_training(tmp_path):
    seen = []
    for steps in ((0, 2, 5), ()):
        torch.manual_seed(0)
        module, lines = Momentum(), Lines()
        module.first.eval()
        calibrates = Calibrates(Taylor(), *steps)
        trainer = quiet_trainer(
            tmp_path, callbacks=[calibrates], logger=lines, log_every_n_steps=1, max_epochs=2
        )
        trainer.fit(module, regression_loader(), regression_loader())
        assert bool(calibrates.statistics) == bool(steps)
        modes = [child.training for child in module.modules()]
        own = (module.calls, module.losses, list(module.last), module.counts, modes)
        weights = {name: value.tolist() for name, value in module.state_dict().items()}
        seen.append((weights, own, lines.lines, torch.get_rng_state().tolist()))
    for ours, plain in zip(*seen, strict=True):
        assert ours == plain


class TestWhileTraining:
    """The callback with modules that are called in other ways."""

    def finishes(self, tmp_path, module, criterion=None, **options):
        pruning = IterativePruning(Cubic(0.5, end=2), criterion, monitor="val/score")
        trainer = quiet_trainer(tmp_path, callbacks=[pruning], max_epochs=3, **options)
        before = module.first.bias.clone()
        trainer.fit(module, regression_loader(), regression_loader())
        assert pruning.state.finished
        assert pruning.state.sparsity == pytest.approx(0.5, abs=0.01)
        assert all(round.pruned and round.finetuned for round in pruning.state.rounds)
        assert not torch.equal(module.first.bias, before)

    @ITERATES
    @pytest.mark.parametrize("criterion", [None, Taylor()])
    def test_with_an_iterator(self, tmp_path, criterion):
        self.finishes(tmp_path, FromAnIterator(), criterion)

    def test_with_manual_optimization(self, tmp_path):
        self.finishes(tmp_path, Manual())

    @pytest.mark.parametrize("criterion", [None, Taylor()])
    @pytest.mark.filterwarnings("ignore:.*training_step. returned .None.")
    def test_with_skipped_batches(self, tmp_path, criterion):
        class Skips(Regression):
            calls = 0

            def training_step(self, batch, batch_idx):
                self.calls += 1
                return super().training_step(batch, batch_idx) if self.calls % 2 else None

        self.finishes(tmp_path, Skips(), criterion)

    def test_with_a_dict(self, tmp_path):
        self.finishes(tmp_path, InADict(), Taylor())


def test_data_without_indices_are_refused_before_the_first_epoch(tmp_path):
    pruning = IterativePruning(OneShot(0.5, begin=3), Wanda(), monitor=None)
    trainer = quiet_trainer(tmp_path, callbacks=[pruning], max_epochs=5, limit_train_batches=2)
    with pytest.raises(UsageError, match="can be indexed.*to the module or the data module"):
        trainer.fit(Regression(), DataLoader(Endless(), batch_size=4), regression_loader())
    assert trainer.global_step == 0


def test_the_module_may_have_the_calibration_data(tmp_path):
    class Provides(Regression):
        def calibration_dataloader(self):
            return regression_loader()

    pruning = IterativePruning(OneShot(0.5), Wanda(), monitor=None)
    trainer = quiet_trainer(tmp_path, callbacks=[pruning], max_epochs=2, limit_train_batches=2)
    trainer.fit(Provides(), DataLoader(Endless(), batch_size=4), regression_loader())
    assert pruning.state.sparsity == 0.5


class Endless(IterableDataset):
    def __iter__(self):
        while True:
            yield torch.zeros(8), torch.zeros(4)
