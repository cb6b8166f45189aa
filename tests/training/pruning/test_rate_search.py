"""The search for exchange rates between kinds of structure, while a model trains."""

import pytest
import torch
from lightning import Callback, seed_everything
from lightning.pytorch.loggers import TensorBoardLogger

from tests.conftest import TINY, quiet_trainer
from tests.interrupted import train
from vitprune.data import ImageData
from vitprune.errors import UsageError
from vitprune.model import ViTClassifier
from vitprune.pruning import (
    AccuracyGuarded,
    Combined,
    FLOPs,
    HeadDim,
    IterativePruning,
    Linear,
    Neuron,
    Search,
    Taylor,
    rates,
)
from vitprune.runs.run_folder import RunFolder
from vitprune.runs.trials import Trials

TRIALS = 4


class PowerLoss(Exception):
    pass


class Before(Callback):
    """Note the weights before the first round."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == 0:
            self.weights = {k: v.clone() for k, v in pl_module.net.state_dict().items()}


def build():
    seed_everything(42, verbose=False)
    architecture = {"model_type": "vit", **TINY, "initializer_range": 0.1}
    return ViTClassifier(architecture=architecture, labels=[str(d) for d in range(10)])


def data():
    limits = {"train": 64, "validation": 16}
    return ImageData("digits", "digits", batch_size=16, num_workers=0, max_images=limits)


def pruning(begin=1, images=16, **options):
    return IterativePruning(
        **{"schedule": Linear(0.4, begin=begin, end=begin + 1), **options},
        criterion=Taylor(),
        granularity=Combined([HeadDim(), Neuron()]),
        allocation=Search(trials=TRIALS, images=images),
        budget=FLOPs(),
        calibration_images=32,
    )


def run(folder, searching, **options):
    logger = TensorBoardLogger(folder, name="", version="logs")
    return train(folder, build(), data(), searching, max_epochs=3, logger=logger, **options)


def trials_in(folder):
    return Trials.read(RunFolder(folder / "logs").search(1)).trials


def test_all_rounds_use_the_rates_that_were_found(tmp_path, capsys):
    searching = pruning()
    run(tmp_path, searching)
    trials = trials_in(tmp_path)
    assert len(trials) == TRIALS
    assert searching.state.rates == Trials(trials).best.rates
    assert [done.removed >= done.target for done in searching.state.rounds] == [True, True]
    assert searching.state.rounds[-1].removed < 0.42
    output = capsys.readouterr().out
    assert f"search {TRIALS}/{TRIALS}  calibration loss " in output
    assert "rates found: query_key 1.00, value " in output


def test_a_search_leaves_the_model_as_it_was(tmp_path):
    searching, before = pruning(begin=0), Before()
    model = build()
    after = Before()
    trainer = quiet_trainer(tmp_path, callbacks=[before, searching, after], max_epochs=2)
    trainer.fit(model, data())
    kept = {mask.name.removeprefix("net."): mask for mask in searching.masks}
    for name, value in after.weights.items():
        pruned = value != before.weights[name]
        assert not value[pruned].any(), name
        assert name in kept or not pruned.any()


def test_a_run_that_ends_in_the_middle_of_a_search_resumes_it_bit_for_bit(tmp_path, monkeypatch):
    whole = run(tmp_path / "whole", pruning())
    ends = {"after": 3}
    update = rates.restored

    def failing(masks):
        ends["after"] -= 1
        if ends["after"] < 0:
            raise PowerLoss
        return update(masks)

    monkeypatch.setattr(rates, "restored", failing)
    with pytest.raises(PowerLoss):
        run(tmp_path / "resumed", pruning())
    assert len(trials_in(tmp_path / "resumed")) == 3
    ends["after"] = 2  # the first trial and the one that is missing
    last = tmp_path / "resumed" / "logs" / "checkpoints" / "last.ckpt"
    resumed = run(tmp_path / "resumed", pruning(), ckpt=last)
    assert trials_in(tmp_path / "resumed") == trials_in(tmp_path / "whole")
    assert all(torch.equal(v, resumed["weights"][k]) for k, v in whole["weights"].items())
    assert whole["rounds"] == resumed["rounds"]


def test_a_run_that_ends_after_a_search_does_not_search_again(tmp_path, monkeypatch):
    whole = run(tmp_path / "whole", pruning(begin=0))
    assert run(tmp_path / "resumed", pruning(begin=0), after_batches=6) is None
    monkeypatch.delattr(rates, "restored")
    last = tmp_path / "resumed" / "logs" / "checkpoints" / "last.ckpt"
    resumed = run(tmp_path / "resumed", pruning(begin=0), ckpt=last)
    assert all(torch.equal(v, resumed["weights"][k]) for k, v in whole["weights"].items())


def test_what_a_search_cannot_do_is_refused_before_training(tmp_path):
    with pytest.raises(UsageError, match="64 training images beside the 32 .* there are 64"):
        run(tmp_path, pruning(images=64))
    with pytest.raises(UsageError, match="final target, which AccuracyGuarded does not know"):
        pruning(schedule=AccuracyGuarded())
