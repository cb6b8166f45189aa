"""Strategies whose processes keep the masks to themselves are refused, by processes that run."""

import pytest
import torch
from lightning import Trainer
from torch.multiprocessing import ProcessRaisedException

from tests.cli.arguments import SMALL
from tests.conftest import Regression, quiet_trainer, regression_loader
from vitprune.cli.main import main
from vitprune.pruning import IterativePruning, OneShot
from vitprune.training.launchers import check_launcher

REFUSED = "return the weights of a training, but not its masks and rounds. .* ddp and run a script"


@pytest.mark.parametrize(
    ("strategy", "devices"),
    [
        ("ddp_fork", 2),
        ("ddp_notebook", 2),
        pytest.param("ddp_spawn", 1, marks=pytest.mark.slow),
    ],
)
def test_training_is_refused_before_its_first_step(tmp_path, strategy, devices):
    module = Regression()
    before = module.first.weight.clone()
    pruning = IterativePruning(OneShot(0.5), monitor=None)
    trainer = quiet_trainer(
        tmp_path, callbacks=[pruning], strategy=strategy, devices=devices, max_epochs=1
    )
    with pytest.raises(ProcessRaisedException, match=f"UsageError: .*{REFUSED}"):
        trainer.fit(module, regression_loader(), regression_loader())
    assert torch.equal(module.first.weight, before)


@pytest.mark.parametrize(
    ("strategy", "config"),
    [("ddp_spawn", "oneshot"), ("ddp_fork", "oneshot"), ("ddp_notebook", "dense")],
)
def test_the_command_line_refuses_it_in_one_line(tmp_path, capsys, strategy, config):
    command = ["fit", f"--config={config}.yaml", *SMALL, "--trainer.devices=2"]
    with pytest.raises(SystemExit) as stopped:
        main([*command, f"--trainer.strategy={strategy}", f"--trainer.default_root_dir={tmp_path}"])
    assert stopped.value.code == 2
    assert "vitprune: error: the strategies ddp_spawn" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("options", [{}, {"strategy": "ddp"}])
def test_one_device_and_scripts_are_accepted(options):
    check_launcher(Trainer(accelerator="cpu", devices=1, logger=False, **options))
