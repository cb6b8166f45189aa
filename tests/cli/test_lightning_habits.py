"""What users of other LightningCLI programs type."""

import textwrap

import pytest
import yaml

from tests.checkpoints import read_raw
from tests.cli.arguments import ITERATIVE, SHORT, SMALL
from vitprune.cli.main import main

FEW = [
    "--data.max_images={train: 64, validation: 32}",
    "--data.batch_size=32",
    "--pruning.schedule.final_sparsity=0.5",
]


def fit(root, *arguments):
    """Run a short training, and return the folder of the run."""
    main([*ITERATIVE, f"--trainer.default_root_dir={root}", *SMALL, *SHORT, *FEW, *arguments])
    return root / "lightning_logs" / "version_0"


def refused(capsys, *arguments):
    with pytest.raises(SystemExit):
        main(list(arguments))
    return capsys.readouterr().err


class TestOptimizers:
    def test_both_classes_are_used_and_kept_by_a_resume(self, tmp_path, capsys):
        run = fit(
            tmp_path,
            *("--optimizer", "SGD", "--optimizer.lr", "0.01", "--optimizer.momentum", "0.9"),
            *("--lr_scheduler", "CosineAnnealingLR", "--lr_scheduler.T_max", "3"),
        )
        checkpoint = read_raw(run / "checkpoints" / "last.ckpt")
        (group,) = checkpoint["optimizer_states"][0]["param_groups"]
        assert (group["momentum"], group["initial_lr"]) == (0.9, 0.01)
        assert checkpoint["lr_schedulers"][0]["T_max"] == 3
        again = ["--trainer.max_epochs=4", "--optimizer=Adam"]
        message = refused(
            capsys,
            *("fit", "--ckpt_path=last", f"--trainer.default_root_dir={tmp_path}", *again),
        )
        assert "optimizer is torch.optim.adam.Adam, but the checkpoint was trained with" in message

    def test_adamw_is_the_default(self, tmp_path):
        run = fit(tmp_path, "--lr_scheduler=ConstantLR", "--lr_scheduler.factor=1")
        checkpoint = read_raw(run / "checkpoints" / "last.ckpt")
        groups = checkpoint["optimizer_states"][0]["param_groups"]
        assert {(group["lr"], "betas" in group) for group in groups} == {(1e-3, True)}

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--optimizer=SDG"], "the class 'SDG' is not known. Did you mean SGD?"),
            (["--optimizer.lr=0.1"], "optimizer.lr needs a class. Set optimizer to one of ASGD, "),
            (["--lr_scheduler=CosineAnnealingLR"], "missing lr_scheduler.T_max, which is required"),
            (["--optimizer=SGD", "--optimizer.lr=-1"], "SGD: Invalid learning rate: -1"),
        ],
    )
    def test_mistakes(self, arguments, message, tmp_path, capsys):
        root = f"--trainer.default_root_dir={tmp_path}"
        assert message in refused(capsys, *ITERATIVE, *SMALL, *FEW, root, *arguments)


class TestOwnClasses:
    @pytest.fixture(autouse=True)
    def module(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "own_classes.py").write_text(
            textwrap.dedent("""
            import torch
            from vitprune.data import ImageData
            from vitprune.model import ViTClassifier

            class Scaled(ViTClassifier):
                def __init__(self, scale: float = 1.0):
                    super().__init__(pretrained="digits")
                    self.scale = scale

                def training_step(self, batch, batch_idx):
                    return super().training_step(batch, batch_idx) * self.scale

                def configure_optimizers(self):
                    return torch.optim.SGD(self.parameters(), lr=0.01)

            class Numbers(ImageData):
                def __init__(self, count: int = 64, **options):
                    super().__init__(max_images={"train": count, "validation": 32}, **options)
            """)
        )

    def test_they_are_trained_resumed_and_reported(self, tmp_path):
        (tmp_path / "own.yaml").write_text(
            yaml.safe_dump(
                {
                    "trainer": {"max_epochs": 2, "accelerator": "cpu"},
                    "model": {"class_path": "own_classes.Scaled", "init_args": {"scale": 2.0}},
                    "pruning": {
                        "schedule": {"class_path": "OneShot", "init_args": {"final_sparsity": 0.5}}
                    },
                }
            )
        )
        data = ["--data=own_classes.Numbers", "--data.source=digits", "--data.processor=digits"]
        small = ["--data.num_workers=0", "--trainer.enable_progress_bar=false"]
        main(["fit", "--config=own.yaml", *data, *small, "--data.count=96"])
        saved = yaml.safe_load((tmp_path / "lightning_logs/version_0/config.yaml").read_text())
        assert saved["model"] == {"class_path": "own_classes.Scaled", "init_args": {"scale": 2.0}}
        main(["fit", "--ckpt_path=last", "--trainer.max_epochs=3"])
        main(["report", "lightning_logs/version_0", "--images=8"])
        assert (tmp_path / "lightning_logs/version_0/report.html").is_file()

    def test_a_second_optimizer_is_refused(self, capsys):
        own = ["--model=own_classes.Scaled", "--optimizer=Adam", *FEW]
        plain = ["fit", "--data.source=digits", "--data.processor=digits", *SMALL, *FEW[:2]]
        message = refused(capsys, *plain, *own[:2])
        assert "Scaled.configure_optimizers defines optimizer and schedule" in message


class TestLoggers:
    def test_the_folder_of_the_run_is_meant(self, tmp_path):
        run = fit(tmp_path, "--trainer.logger=CSVLogger")
        assert (run / "csv_logs" / "version_0" / "metrics.csv").is_file()
        assert (run / "metrics.csv").read_text().startswith("step,metric,value")
        assert not list(run.glob("events*"))

    def test_no_loggers(self, tmp_path):
        run = fit(tmp_path, "--trainer.logger=false")
        names = {path.name for path in run.iterdir()}
        assert names == {"config.yaml", "checkpoints", "export"}

    def test_another_progress_bar(self, tmp_path, capsys):
        bar = ["--trainer.enable_progress_bar=true", "--trainer.callbacks=TQDMProgressBar"]
        fit(tmp_path, *bar, "--trainer.fast_dev_run=true")
        assert "it/s" in capsys.readouterr().out

    def test_barebones_write_nothing(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        main([*ITERATIVE, *SHORT, *FEW, *SMALL[1:], "--trainer.barebones=true"])
        assert not list(tmp_path.iterdir())
