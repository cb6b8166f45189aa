"""A validation in the middle of training is Lightning's own."""

import copy

import pytest
import torch
from lightning import Callback
from lightning.pytorch.callbacks import (
    DeviceStatsMonitor,
    EMAWeightAveraging,
    RichProgressBar,
    ThroughputMonitor,
    Timer,
    TQDMProgressBar,
)
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import nn
from torch.utils.data import DataLoader
from torchmetrics import MeanSquaredError, MetricCollection

from tests.conftest import Regression, quiet_trainer, regression_loader
from tests.training.pruning.runs import fit
from vitprune.errors import UsageError
from vitprune.pruning import Cubic, IterativePruning, Levels, OneShot


class Still(Regression):
    """Its metrics do not depend on training, so every validation gives the same ones."""

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


class WholeEpoch(Still):
    """Collects predictions in hooks, as many modules do."""

    def on_validation_start(self):
        self.predicted = []

    def validation_step(self, batch, batch_idx):
        self.predicted.append(self(batch[0]))

    def on_validation_epoch_end(self):
        self.log("metric", torch.cat(self.predicted).std())


class OwnReductions(Still):
    def validation_step(self, batch, batch_idx):
        self.log("least", self(batch[0]).min(), reduce_fx="min")
        self.log("metric", self(batch[0]).max(), reduce_fx=max, logger=False)


class BatchEnd(Still):
    def validation_step(self, batch, batch_idx):
        return self(batch[0]).std()

    def on_validation_batch_end(self, outputs, batch, batch_idx):
        self.log("metric", outputs, on_step=True, on_epoch=True)


class Plain(Still):
    """Its last batch is smaller."""

    def validation_step(self, batch):
        self.log("metric", self(batch[0]).std())


class Collection(Still):
    def __init__(self):
        super().__init__()
        self.scores = MetricCollection({"metric": MeanSquaredError(), "rmse": MeanSquaredError()})

    def validation_step(self, batch, batch_idx):
        self.scores.update(self(batch[0]), batch[1])
        self.log_dict(self.scores)


class FromAnIterator(Still):
    def validation_step(self, dataloader_iter):
        batch, _, _ = next(dataloader_iter)
        self.log("metric", self(batch[0]).std(), batch_size=len(batch[0]))


class Silent(Still):
    def validation_step(self, batch, batch_idx):
        return self(batch[0]).std()


class LogsForIt(Callback):
    def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        pl_module.log("metric", outputs)


@pytest.mark.parametrize(
    ("kind", "callback"),
    [
        *[(kind, Callback) for kind in (WholeEpoch, OwnReductions, BatchEnd, Plain, Collection)],
        (Silent, LogsForIt),
        pytest.param(
            FromAnIterator,
            Callback,
            marks=pytest.mark.filterwarnings("ignore:.*`dataloader_iter`"),
        ),
    ],
)
def test_the_metrics_are_those_of_a_validation_by_the_trainer(tmp_path, kind, callback):
    torch.manual_seed(0)
    module = kind()
    images = regression_loader(images=20)
    (before,) = quiet_trainer(tmp_path, callbacks=[callback()]).validate(
        copy.deepcopy(module), images, verbose=False
    )
    pruning = IterativePruning(Levels([0.3, 0.6]), monitor="metric")
    trainer = quiet_trainer(tmp_path, callbacks=[pruning, callback()], max_epochs=2)
    trainer.fit(module, regression_loader(), images)
    assert {name: pruning.state.dense[name] for name in before} == before
    rounds = pruning.state.rounds
    assert [round.pruned for round in rounds] == [round.finetuned for round in rounds]
    assert len({pruning.state.dense["metric"], rounds[0].pruned, rounds[1].pruned}) == 3


def test_of_several_validation_loaders_the_metric_of_one_is_monitored(tmp_path):
    class Two(Still):
        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            self.log("metric", self(batch[0]).std() + dataloader_idx)

    def run(monitor):
        pruning = IterativePruning(OneShot(0.5), monitor=monitor)
        trainer = quiet_trainer(tmp_path, callbacks=[pruning], max_epochs=1)
        loaders = [regression_loader(), regression_loader(images=12)]
        trainer.fit(Two(), regression_loader(), loaders)
        return pruning.state

    state = run("metric/dataloader_idx_1")
    assert state.dense["metric/dataloader_idx_1"] > 1 > state.dense["metric/dataloader_idx_0"]
    assert 1 < state.rounds[0].pruned == state.rounds[0].finetuned
    with pytest.raises(UsageError, match="Valid are metric/dataloader_idx_0, metric/dataloader"):
        run("metric")


def test_it_sees_as_many_batches_as_the_trainer_allows(tmp_path):
    class Counting(Still):
        def on_validation_start(self):
            self.batches = 0

        def validation_step(self, batch, batch_idx):
            self.batches += 1

        def on_validation_epoch_end(self):
            self.log("batches", float(self.batches))

    pruning = IterativePruning(OneShot(0.5), monitor="batches")
    fit(tmp_path, pruning, Counting(), max_epochs=1, limit_val_batches=3)
    assert pruning.state.dense["batches"] == 3
    assert pruning.state.rounds[0].pruned == 3


def test_what_a_callback_decides_by_it_does_not_end_the_run(tmp_path):
    class StopsAtOnce(Callback):
        def on_validation_end(self, trainer, pl_module):
            trainer.should_stop = trainer.global_step == 0

    pruning = IterativePruning(OneShot(0.5), monitor="val/score")
    _, _, trainer = fit(tmp_path, pruning, callbacks=[StopsAtOnce()], max_epochs=3)
    assert trainer.current_epoch == 3


def test_metrics_of_training_are_still_there_during_it(tmp_path):
    class Gap(Regression):
        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            self.log("train/loss", loss)
            return loss

        def on_validation_epoch_end(self):
            known = self.trainer.callback_metrics
            self.log("gap", known["val/score"] + known.get("train/loss", 0.0))

    pruning = IterativePruning(OneShot(0.5, begin=1), monitor="gap")
    module, _, _ = fit(tmp_path, pruning, Gap(), max_epochs=2)
    assert set(pruning.state.dense) == {"gap", "val/score"}
    assert pruning.state.dense["gap"] == pruning.state.dense["val/score"]
    assert pruning.state.rounds[0].pruned is not None


@pytest.mark.parametrize("bar", [TQDMProgressBar, RichProgressBar])
@pytest.mark.filterwarnings("ignore:.*flops_per_batch")
def test_callbacks_that_watch_the_training_go_along(tmp_path, bar, capsys):
    pruning = IterativePruning(Cubic(0.5, end=2), monitor="val/score")
    others = [
        ThroughputMonitor(batch_size_fn=lambda batch: len(batch[0]), window_size=2),
        Timer(),
        DeviceStatsMonitor(cpu_stats=False),
        EMAWeightAveraging(use_buffers=False),
        bar(),
    ]
    fit(
        tmp_path,
        pruning,
        callbacks=others,
        max_epochs=3,
        enable_progress_bar=True,
        log_every_n_steps=2,
        logger=[CSVLogger(tmp_path), TensorBoardLogger(tmp_path)],
    )
    assert all(round.pruned is not None for round in pruning.state.rounds)


def test_a_pytorch_lightning_trainer_is_guarded_alike(tmp_path):
    pl = pytest.importorskip("pytorch_lightning")

    class Module(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(8, 4)

        def training_step(self, batch, batch_idx):
            return nn.functional.mse_loss(self.net(batch[0]), batch[1])

        def validation_step(self, batch, batch_idx):
            self.log("val/score", -self.training_step(batch, batch_idx))

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    class Counts(pl.callbacks.EarlyStopping):
        calls = 0

        def on_validation_end(self, trainer, pl_module):
            self.calls += not trainer.sanity_checking
            super().on_validation_end(trainer, pl_module)

    pruning = IterativePruning(Cubic(0.5, end=2), monitor="val/score")
    stopping = Counts("val/score", mode="max", patience=9)
    saving = pl.callbacks.ModelCheckpoint(tmp_path, monitor="val/score", save_top_k=-1)
    trainer = pl.Trainer(
        default_root_dir=tmp_path,
        callbacks=[pruning, stopping, saving],
        max_epochs=3,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    trainer.fit(Module(), regression_loader(), regression_loader())
    assert all(round.pruned is not None for round in pruning.state.rounds)
    assert stopping.calls == 3
    assert len(list(tmp_path.glob("*.ckpt"))) == 3


class OwnGenerator(Regression):
    """Draws noise from a generator of its own, in training and validation."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(1)

    def forward(self, x):
        return super().forward(x + torch.randn(x.shape, generator=self.generator))


@pytest.mark.parametrize("build", [Regression, OwnGenerator])
def test_generators_that_training_shares_with_validation_are_restored(tmp_path, build):
    def trained(validates):
        torch.manual_seed(0)
        data = regression_loader().dataset
        generator = torch.Generator().manual_seed(3)
        train = DataLoader(data, batch_size=8, shuffle=True, generator=generator)
        validation = DataLoader(data, batch_size=8, generator=generator)
        pruning = IterativePruning(
            OneShot(0.5, begin=1), monitor="val/score", validate_after_pruning=validates
        )
        trainer = quiet_trainer(tmp_path, callbacks=[pruning], max_epochs=3)
        trainer.fit(module := build(), train, validation)
        return module.first.weight

    assert torch.equal(trained(validates=True), trained(validates=False))
