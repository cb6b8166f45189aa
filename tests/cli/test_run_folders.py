"""The folders of runs: one for each, and none for a run that cannot be."""

import shlex

import pytest

from tests.cli.arguments import DIGITS, ITERATIVE, SMALL
from vitprune.cli.main import main
from vitprune.data import ImageData


def test_runs_started_at_the_same_time_have_folders_of_their_own(tmp_path, monkeypatch):
    def setup(data, stage, own=ImageData.setup):
        (tmp_path / "lightning_logs" / "version_0").mkdir(
            parents=True, exist_ok=True
        )  # the other has come so far
        own(data, stage)

    monkeypatch.setattr(ImageData, "setup", setup)
    main(
        [
            "fit",
            "--config=dense.yaml",
            "--trainer.max_epochs=1",
            f"--trainer.default_root_dir={tmp_path}",
            *SMALL,
            *DIGITS,
        ]
    )
    assert not list((tmp_path / "lightning_logs" / "version_0").iterdir())
    mine = {path.name for path in (tmp_path / "lightning_logs" / "version_1").iterdir()}
    assert {"config.yaml", "metrics.csv", "checkpoints", "export"} <= mine


@pytest.mark.parametrize("refused", ["--checkpoint.monitor=val/acc", "--trainer.fast_dev_run=true"])
def test_a_refused_run_leaves_that_of_another_alone(tmp_path, monkeypatch, refused):
    def setup(data, stage, own=ImageData.setup):
        (tmp_path / "lightning_logs" / "version_0").mkdir(parents=True, exist_ok=True)
        own(data, stage)

    monkeypatch.setattr(ImageData, "setup", setup)
    with pytest.raises(SystemExit):
        main(
            [
                *ITERATIVE,
                refused,
                "--model.distillation.teacher=./none",
                f"--trainer.default_root_dir={tmp_path}",
            ]
        )
    assert [path.name for path in (tmp_path / "lightning_logs").iterdir()] == ["version_0"]


@pytest.mark.parametrize(
    "refused",
    [
        "--trainer.max_epochs=3",
        "--trainer.max_epochs=-1",
        "--pruning.layers.exclude=[.*]",
        "--pruning.monitor=val/acc",
        "'--pruning.schedule={class_path: Linear, init_args: {final_sparsity: 0.5, end: 9999, "
        "unit: step}}'",
        "--checkpoint.monitor=val/acc",
        "--model.distillation.teacher=./none",
        "--model.distillation.teacher=./none --trainer.fast_dev_run=true",
        "--data.batch_size=5000",
    ],
)
def test_bad_input_leaves_no_run_behind(refused, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([*ITERATIVE, *shlex.split(refused), f"--trainer.default_root_dir={tmp_path}"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("vitprune: error: ")
    assert not list(tmp_path.rglob("version_*"))


def test_a_dry_run_leaves_nothing(tmp_path):
    main(
        [
            "fit",
            "--config=dense.yaml",
            f"--trainer.default_root_dir={tmp_path}",
            "--trainer.fast_dev_run=true",
            *DIGITS,
        ]
    )
    assert list(tmp_path.iterdir()) == []
