"""A validation in the middle of training leaves no trace in it."""

import copy
import time
from datetime import timedelta

import pytest
import torch
from lightning import Callback
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers.logger import Logger
from torch import nn
from torchmetrics import MeanSquaredError, MetricCollection, R2Score
from torchmetrics.aggregation import MaxMetric

from tests.conftest import Regression, quiet_trainer, regression_loader
from vitprune.pruning import Cubic, IterativePruning, Levels
from vitprune.training.probe import validate_now


class Records(Logger):
    """A logger that records what is logged."""

    name = version = "records"

    def __init__(self):
        super().__init__()
        self.records = []

    def log_metrics(self, metrics, step=None):
        self.records.append((step, dict(metrics)))

    def log_text(self, text):
        self.records.append(text)

    def log_hyperparams(self, params, *_):
        pass


class Noisy(Regression):
    """Everything that an additional validation could disturb."""

    def __init__(self):
        super().__init__(torch.optim.SGD)
        self.norm = nn.BatchNorm1d(4)
        self.error, self.largest, self.highest = MeanSquaredError(), MaxMetric(), MaxMetric()
        self.pair = MetricCollection({"mse": MeanSquaredError(), "r2": R2Score()})
        self.steps, self.validations, self.best = 0, [], -float("inf")

    def training_step(self, batch, batch_idx):
        self.steps += 1
        predicted = self.norm(self(nn.functional.dropout(batch[0], 0.3)))
        loss = nn.functional.mse_loss(predicted, batch[1])
        self.log("train/loss", loss, on_step=True, on_epoch=True, prog_bar=True)
        self.error(predicted, batch[1])
        self.log("train/error", self.error, on_step=False, on_epoch=True)
        self.pair.update(predicted, batch[1])
        self.log_dict(self.pair, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        torch.rand(3)
        score = -nn.functional.mse_loss(self(batch[0]), batch[1])
        self.largest.update(score)
        self.log("val/score", score, on_step=True, on_epoch=True, prog_bar=True)
        self.log("val/largest", self.largest)

    def on_validation_epoch_end(self):
        self.logger.log_text(f"epoch {self.current_epoch}")
        self.best = max(self.best, float(self.trainer.callback_metrics["val/score"]))
        self.highest(self.trainer.callback_metrics["val/score"])
        self.log("val/highest", self.highest.compute())  # so far, in the whole run
        self.validations.append(self.trainer.global_step)
        self.lr_schedulers().step(1.0)  # by hand, beside the Trainer

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=1e-2)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=2, factor=0.9)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "monitor": "val/score"},
        }


class Counts(Callback):
    """Logs in the hook in which rounds are pruned."""

    def __init__(self, name):
        self.name = name

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        pl_module.log(self.name, 1.0, on_step=False, on_epoch=True, reduce_fx="sum")


class Best(Callback):
    """Keeps the best module, as scripts do."""

    def __init__(self):
        self.best, self.module, self.epochs = -float("inf"), None, []

    def on_validation_epoch_end(self, trainer, pl_module):
        score = float(trainer.callback_metrics["val/score"])
        self.epochs.append(trainer.current_epoch)
        if score > self.best:
            self.best, self.module = score, copy.deepcopy(pl_module.second)


class Seen(Callback):
    """Records the state of the training after every batch."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append(
            {
                "metrics": {name: float(v) for name, v in trainer.callback_metrics.items()},
                "logged": {name: float(v) for name, v in trainer.logged_metrics.items()},
                "shown": dict(trainer.progress_bar_metrics),
                "progress": copy.deepcopy(trainer.fit_loop.state_dict()),
                "rate": trainer.optimizers[0].param_groups[0]["lr"],
            }
        )


def record_a_run(folder, monitor):
    torch.manual_seed(0)
    module, logger, best, seen = Noisy(), Records(), Best(), Seen()
    module.second.eval()  # frozen on purpose by its owner
    pruning = IterativePruning(Cubic(0.8, begin=0, end=9, every=3, unit="step"), monitor=monitor)
    stopping = EarlyStopping("val/score", mode="max", patience=4, min_delta=10.0)
    saving = ModelCheckpoint(folder, monitor="val/score", mode="max", save_top_k=-1)
    trainer = quiet_trainer(
        folder,
        callbacks=[Counts("before"), pruning, Counts("after"), stopping, saving, best, seen],
        logger=logger,
        log_every_n_steps=1,
        enable_checkpointing=True,
        max_epochs=8,
        val_check_interval=0.5,
    )
    trainer.fit(module, regression_loader(), regression_loader(images=20))
    own = ("round/", "sparsity/")
    return {
        "records": [
            entry
            for entry in logger.records
            if isinstance(entry, str) or not any(name.startswith(own) for name in entry[1])
        ],
        "seen": seen.seen,
        "weights": {name: value.tolist() for name, value in module.state_dict().items()},
        "module": (module.steps, module.validations, module.best),
        "modes": {name: child.training for name, child in module.named_modules()},
        "stopping": stopping.state_dict(),
        "best": (best.best, best.epochs, best.module.bias.tolist()),
        "files": sorted(path.name for path in folder.glob("*.ckpt")),
        "generator": torch.get_rng_state().tolist(),
        "epochs": trainer.current_epoch,
    }, pruning


@pytest.mark.filterwarnings("ignore:Found .* in eval mode")
def test_the_extra_validation_leaves_no_trace(tmp_path):
    """All that is recorded of a training is the same with and without it."""
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    ours, pruning = record_a_run(tmp_path / "with", "val/score")
    plain, _ = record_a_run(tmp_path / "without", None)
    assert sum(round.pruned is not None for round in pruning.state.rounds) == 4
    assert ours["epochs"] == 3  # stopped early
    for name, value in plain.items():
        assert ours[name] == value, name


class Saves(Regression):
    """Saves a checkpoint in a hook, after the fourth step."""

    def __init__(self, hook, path):
        super().__init__()
        called = getattr(self, hook)

        def save(*arguments):
            if self.global_step == 4 and not path.exists():
                self.trainer.save_checkpoint(path)
            return called(*arguments)

        setattr(self, hook, save)


class ValidatesFirst(Callback):
    def on_train_start(self, trainer, pl_module):
        assert set(validate_now(trainer, pl_module)) == {"val/score"}


class Hooks(Callback):
    def __init__(self):
        self.called = []

    def on_train_batch_start(self, trainer, *_):
        self.called.append(("batch", trainer.global_step))

    def on_validation_start(self, trainer, *_):
        self.called.append(("validation", trainer.global_step))

    def on_validation_batch_start(self, *_):
        self.called.append("validation batch")


@pytest.mark.parametrize(
    "hook",
    [
        "on_train_batch_end",
        "on_validation_start",
        "validation_step",
        "on_validation_end",
        "on_train_epoch_end",
    ],
)
def test_a_resumed_run_validates_when_it_would_have(tmp_path, hook):
    """Wherever the checkpoint was saved around the end of an epoch."""

    def train(module, callbacks=(), **options):
        hooks = Hooks()
        trainer = quiet_trainer(tmp_path, callbacks=[*callbacks, hooks], max_epochs=3)
        trainer.fit(module, regression_loader(), regression_loader(), **options)
        return hooks.called

    checkpoint = tmp_path / "a.ckpt"
    train(Saves(hook, checkpoint))
    plain = train(Regression(), ckpt_path=checkpoint)
    called = train(Regression(), [ValidatesFirst()], ckpt_path=checkpoint)
    assert called == plain


def test_validation_by_the_clock_comes_in_spite_of_those_between(tmp_path):
    class Slow(Regression):
        def on_train_batch_end(self, *_):
            time.sleep(0.02)

    every_step = Levels([0.02 * step for step in range(1, 20)], every=1, unit="step")
    pruning = IterativePruning(every_step, monitor="val/score")
    trainer = quiet_trainer(
        tmp_path,
        callbacks=[pruning],
        max_epochs=5,
        check_val_every_n_epoch=None,
        val_check_interval=timedelta(seconds=0.2),
    )
    trainer.fit(Slow(), regression_loader(), regression_loader())
    assert len(pruning.state.rounds) == 19
    assert any(round.finetuned for round in pruning.state.rounds)
