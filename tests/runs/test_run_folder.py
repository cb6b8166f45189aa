"""The folder of a run, found from a root, a checkpoint or the command line."""

import os

import pytest

from vitprune.errors import UsageError
from vitprune.runs.run_folder import (
    RunFolder,
    find_last,
    new_run_folder,
    resolve_checkpoint,
    run_folders,
)


def make_run(root, number, *checkpoints):
    run = RunFolder(root / "lightning_logs" / f"version_{number}")
    run.checkpoints.mkdir(parents=True)
    for name in checkpoints:
        (run.checkpoints / name).write_text(name)
    return run


def test_the_run_of_a_checkpoint_is_found_from_its_path(tmp_path):
    run = RunFolder(tmp_path / "version_3")
    assert RunFolder.of_checkpoint(run.last) == run
    assert RunFolder.of_checkpoint(run.best) == run
    assert RunFolder.of_checkpoint(tmp_path / "moved.ckpt") is None


def test_runs_are_numbered(tmp_path):
    assert new_run_folder(tmp_path).path.name == "version_0"
    make_run(tmp_path, 2)
    make_run(tmp_path, 10)
    (tmp_path / "lightning_logs" / "version_of_mine").mkdir()
    assert sorted(run_folders(tmp_path)) == [2, 10]
    assert new_run_folder(tmp_path).path.name == "version_11"


def test_the_newest_last_checkpoint_is_found(tmp_path):
    older = make_run(tmp_path, 1, "last.ckpt")
    newer = make_run(tmp_path, 0, "last.ckpt")
    make_run(tmp_path, 2)
    os.utime(older.last, (1, 1))
    assert find_last(tmp_path) == newer.last


def test_without_any_checkpoint_the_folder_is_named(tmp_path):
    make_run(tmp_path, 0, "best.ckpt")
    with pytest.raises(UsageError, match="no run in .*lightning_logs has saved a checkpoint"):
        find_last(tmp_path)


def test_a_run_folder_stands_for_its_last_or_its_best_checkpoint(tmp_path):
    run = make_run(tmp_path, 0, "last.ckpt", "best.ckpt")
    assert resolve_checkpoint(str(run.path), "fit") == str(run.last)
    assert resolve_checkpoint(str(run.path), "export") == str(run.best)
    run.best.unlink()
    assert resolve_checkpoint(str(run.path), "export") == str(run.last)
    assert resolve_checkpoint("some/file.ckpt", "fit") == "some/file.ckpt"


def test_an_export_older_than_the_last_checkpoint_does_not_count(tmp_path):
    run = make_run(tmp_path, 0, "last.ckpt")
    assert not run.is_exported()
    run.export.path.mkdir()
    run.export.report.write_text("{}")
    assert run.is_exported()
    os.utime(run.export.report, (1, 1))
    assert not run.is_exported()


def test_the_checkpoint_that_a_run_started_from(tmp_path):
    run = make_run(tmp_path, 0)
    assert run.started_from() is None
    run.config.write_text("ckpt_path: other.ckpt\n")
    assert run.started_from() == "other.ckpt"


@pytest.mark.parametrize("content", ["", "null", "[1]", "a: [", "a: \0"])
def test_a_damaged_configuration_is_named(tmp_path, content):
    run = make_run(tmp_path, 0)
    run.config.write_text(content)
    with pytest.raises(UsageError, match=r"config.yaml is damaged"):
        run.started_from()
