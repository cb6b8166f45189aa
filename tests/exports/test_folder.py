"""An export appears whole or not at all, and replaces nothing but an export."""

import pytest

from tests.exports.reports import run_report
from vitprune.errors import UsageError
from vitprune.exports.folder import check_target, writing


def make_export(path):
    path.mkdir()
    (path / "config.json").write_text("{}")
    run_report().write(path / "report.json")


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), make_export])
def test_what_may_be_written(tmp_path, make):
    make(tmp_path / "export")
    assert check_target(tmp_path / "export").path == tmp_path / "export"


def write_until_the_disk_is_full(target):
    with writing(target) as scratch:
        scratch.path.mkdir()
        scratch.config.write_text("new")
        raise OSError("the disk is full")


OTHERS = {
    "a file": {"thesis.tex": "years of work"},
    "a report of something else": {"report.json": '{"years": 4}', "config.json": "{}"},
    "a pretrained model": {"config.json": "{}", "model.safetensors": ""},
    "a report without a model": {"report.json": '{"verification": {}}'},
}


@pytest.mark.parametrize("case", OTHERS)
def test_a_folder_of_something_else_is_refused(tmp_path, case):
    for name, text in OTHERS[case].items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match="not an export. Choose a new or empty folder"):
        check_target(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="not an export"):
        check_target(tmp_path / "file")


def test_a_failure_leaves_the_old_export(tmp_path):
    make_export(tmp_path / "export")
    target = check_target(tmp_path / "export")
    with pytest.raises(OSError, match="full"):
        write_until_the_disk_is_full(target)
    assert target.config.read_text() == "{}"
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_weights_are_as_readable_as_the_rest(tmp_path):
    target = check_target(tmp_path / "export")
    with writing(target) as scratch:
        scratch.path.mkdir()
        scratch.config.write_text("{}")
        scratch.weights.touch(mode=0o600)
    assert target.weights.stat().st_mode == target.config.stat().st_mode
    assert [path.name for path in tmp_path.iterdir()] == ["export"]
