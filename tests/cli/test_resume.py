"""Checkpoints on the command line."""

import os

import pytest
import torch
import yaml

from tests.checkpoints import read_raw
from tests.cli.arguments import DIGITS, SMALL, typed
from vitprune.cli.main import main
from vitprune.runs.checkpoint import TrainingCheckpoint
from vitprune.runs.commands import command_to_repeat
from vitprune.runs.metrics import read_metrics
from vitprune.runs.run_folder import RunFolder


@pytest.mark.slow
def test_last_is_found_under_the_root_of_the_configuration(tmp_path, capsys, caplog):
    (tmp_path / "root.yaml").write_text(
        f"trainer: {{default_root_dir: {tmp_path}/runs, max_epochs: 1}}\n"
    )
    arguments = [
        "fit",
        "--config",
        "dense.yaml",
        "--config",
        str(tmp_path / "root.yaml"),
        *SMALL,
        *DIGITS,
    ]
    main(arguments)
    with pytest.raises(SystemExit):
        main([*arguments, "--ckpt_path=last"])
    assert "version_0 at epoch 1/1, step 8. Increase trainer.max_epochs" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(
            [
                *arguments,
                "--ckpt_path=last",
                "--trainer.max_epochs=9",
                "--model.layer_decay=0.9",
            ]
        )
    main([*arguments, "--ckpt_path=last", "--trainer.max_epochs=2"])
    assert "Resuming " in caplog.text
    assert [path.name for path in (tmp_path / "runs" / "lightning_logs").iterdir()] == ["version_0"]
    run = tmp_path / "runs" / "lightning_logs" / "version_0"
    assert max(read_metrics(RunFolder(run))["epoch"].values()) == 1
    settings = yaml.safe_load(
        (run / "config.yaml").read_text()
    )  # which a third start without words goes on under
    assert (settings["trainer"]["max_epochs"], settings["ckpt_path"]) == (2, None)
    first, second = command_to_repeat(
        TrainingCheckpoint.read(run / "checkpoints" / "last.ckpt").commands
    ).split(" && ")
    assert typed(first) == arguments
    assert typed(second) == [*arguments, "--ckpt_path=last", "--trainer.max_epochs=2"]


def test_a_run_whose_export_is_older_than_its_training_is_not_finished(tmp_path, capsys, caplog):
    arguments = [
        "fit",
        "--config=dense.yaml",
        "--trainer.max_epochs=1",
        f"--trainer.default_root_dir={tmp_path}",
    ]
    main([*arguments, *SMALL, *DIGITS])
    run = tmp_path / "lightning_logs" / "version_0"
    report, last = run / "export" / "report.json", run / "checkpoints" / "last.ckpt"
    os.utime(report, (report.stat().st_atime, last.stat().st_mtime - 1))
    main([*arguments, *SMALL, *DIGITS, "--ckpt_path=last"])
    assert report.stat().st_mtime > last.stat().st_mtime


def test_a_guarded_run_that_found_no_good_state_only_says_so_again(tmp_path, capsys):
    (tmp_path / "root.yaml").write_text(f"trainer: {{default_root_dir: {tmp_path}/runs}}\n")
    guarded = [
        "--pruning.schedule=AccuracyGuarded",
        "--pruning.schedule.step=0.9",
        "--pruning.schedule.min_step=0.9",
    ]
    guarded += ["--pruning.schedule.patience=1", "--trainer.max_epochs=9"]
    arguments = [
        "fit",
        "--config=oneshot.yaml",
        "--config",
        str(tmp_path / "root.yaml"),
        *SMALL,
        *DIGITS,
        *guarded,
    ]
    main(arguments)
    assert "training ended before" not in capsys.readouterr().out
    main([*arguments, "--ckpt_path=last"])
    printed = capsys.readouterr().out
    assert "no training is left" in printed
    assert "nothing was exported. To export the last epoch:" in printed


def test_a_checkpoint_of_another_program_is_refused(tmp_path, capsys):
    folder = tmp_path / "lightning_logs" / "version_5" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save({"state_dict": {}, "loops": {}, "global_step": 1}, folder / "last.ckpt")
    (tmp_path / "more.yaml").write_text(f"ckpt_path: {folder.parent}\n")
    for words in (
        ["--ckpt_path=last"],
        ["--ckpt_path", str(folder.parent)],
        ["--config", str(tmp_path / "more.yaml")],
    ):
        with pytest.raises(SystemExit):
            main(
                [
                    "fit",
                    "--config=dense.yaml",
                    f"--trainer.default_root_dir={tmp_path}",
                    *words,
                    *SMALL,
                    *DIGITS,
                ]
            )
        assert "last.ckpt is damaged or from another version: it has no" in capsys.readouterr().err


def test_a_checkpoint_of_an_earlier_version_is_refused_before_its_configuration(
    finished_run, tmp_path, capsys
):
    run = tmp_path / "lightning_logs" / "version_0"
    (run / "checkpoints").mkdir(parents=True)
    content = read_raw(finished_run / "checkpoints" / "last.ckpt")
    del content["pruning"][0]["format"]
    torch.save(content, run / "checkpoints" / "last.ckpt")
    (run / "config.yaml").write_text("data: {crop_scale: null}")
    with pytest.raises(SystemExit):
        main(["fit", "--ckpt_path=last", f"--trainer.default_root_dir={tmp_path}"])
    assert "was saved by an earlier version" in capsys.readouterr().err
