"""The model before the first round."""

import pytest
import torch
from lightning import LightningModule, Trainer

from tests.conftest import Regression, quiet_trainer, regression_loader
from tests.training.pruning.runs import fit
from vitprune.errors import UsageError
from vitprune.pruning import (
    IterativePruning,
    Levels,
    OneShot,
)


def test_a_sparse_model_stays_as_sparse(tmp_path, capsys):
    """Weights regrow neither before the first round nor in a round with a lower target.

    The bias is not masked.
    """
    module = Regression()
    with torch.no_grad():
        for layer in (module.first, module.second):
            layer.weight.view(-1)[::2] = 0
            layer.bias.zero_()
    zeros = module.first.weight == 0
    _, watch, _ = fit(
        tmp_path,
        IterativePruning(Levels([0.25, 0.75], begin=1, every=2), monitor=None),
        module,
    )
    assert watch.at("validation") == [0.5, 0.5, 0.5, 0.75, 0.75]
    assert watch.at("step") == [0.5] * 12 + [0.75] * 8
    assert watch.shown == [0.5] * 12 + [0.75] * 8
    assert not module.first.weight[zeros].any()
    assert module.first.bias.any()
    assert (
        "50.00% of the weights to prune are zero already, and count as pruned"
        in capsys.readouterr().out
    )


def test_a_metric_that_is_not_logged_is_refused_before_training(tmp_path):
    module = Regression()
    with pytest.raises(
        UsageError,
        match="'val/accuracy' is not among the metrics that validation logs. Valid are val/score",
    ):
        fit(tmp_path, IterativePruning(OneShot(0.5)), module)


@pytest.mark.filterwarnings("ignore:.*barebones")
def test_a_trainer_that_logs_nothing_is_named(tmp_path):
    trainer = Trainer(
        barebones=True,
        max_epochs=1,
        accelerator="cpu",
        callbacks=[IterativePruning(OneShot(0.5))],
        default_root_dir=tmp_path,
    )
    with pytest.raises(UsageError, match=r"barebones=True. logs no metrics. Set pruning.monitor"):
        trainer.fit(Regression(), regression_loader(), regression_loader())


def test_without_validation_data_nothing_is_scored(tmp_path):
    class Blind(Regression):
        validation_step = LightningModule.validation_step

    pruning = IterativePruning(OneShot(0.5))
    trainer = quiet_trainer(tmp_path, callbacks=[pruning], max_epochs=1)
    trainer.fit(Blind(), regression_loader())
    assert (pruning.state.rounds[0].pruned, pruning.state.rounds[0].sparsity) == (None, 0.5)
