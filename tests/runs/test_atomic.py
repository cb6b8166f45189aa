"""Files and folders appear whole or not at all."""

import os

import pytest

from vitprune.errors import UsageError
from vitprune.runs.atomic import (
    copy_file,
    partial,
    remove_partial,
    replacing,
    replacing_folder,
    write_text,
)


def test_a_file_is_replaced_when_the_block_ends(tmp_path):
    target = tmp_path / "new" / "a.txt"
    with replacing(target) as scratch:
        scratch.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def interrupted():
        with replacing(target) as scratch:
            scratch.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_left_by_a_killed_process_is_overwritten(tmp_path):
    target = tmp_path / "a.txt"
    partial(target).write_text("left by a killed process, and longer than the new content")
    write_text(target, "new")
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_copy_replaces_its_target(tmp_path):
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    copy_file(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "a"


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "export"
    target.mkdir()
    (target / "old.txt").write_text("old")
    with replacing_folder(target) as scratch:
        scratch.mkdir()
        (scratch / "new.txt").write_text("new")
        assert (target / "old.txt").exists()
    assert [path.name for path in target.iterdir()] == ["new.txt"]
    assert list(tmp_path.iterdir()) == [target]


def test_an_error_leaves_the_old_folder(tmp_path):
    target = tmp_path / "export"
    target.mkdir()
    (target / "old.txt").write_text("old")

    def interrupted():
        with replacing_folder(target) as scratch:
            scratch.mkdir()
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        interrupted()
    assert (target / "old.txt").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_what_killed_processes_left_is_removed(tmp_path):
    (tmp_path / ".config.yaml.partial").write_text("half")
    (tmp_path / ".export.partial").mkdir()
    (tmp_path / ".export.partial" / "config.json").write_text("{")
    (tmp_path / "config.yaml").write_text("whole")
    remove_partial(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_a_device_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="pipe is a device or a pipe"):
        write_text(tmp_path / "pipe", "text")
    assert (tmp_path / "pipe").is_fifo()
