"""Damaged files of a run: the subcommands name them."""

import shutil

import pytest

from tests.files import rows_of
from vitprune.cli.main import main

DAMAGED = [
    b"",
    b"null",
    b"[1, 2]",
    b'"text"',
    b"{}",
    b"{\x00",
    b"\xff\xfe\xfa",
    None,
]  # None tears it


@pytest.mark.parametrize("file", ["config.yaml", "export/report.json"])
@pytest.mark.parametrize("content", DAMAGED)
@pytest.mark.parametrize("command", ["compare", "report"])
def test_a_damaged_file_is_named_in_one_line(logs, tmp_path, capsys, command, content, file):
    shutil.copytree(logs / "version_0", tmp_path / "run")
    path = tmp_path / "run" / file
    path.write_bytes(path.read_bytes()[:99] if content is None else content)
    with pytest.raises(SystemExit) as stopped:
        main([command, str(tmp_path / "run")])
    assert stopped.value.code == 2
    error = capsys.readouterr().err.strip()
    assert f"{path} is damaged or from another version: " in error
    assert len(error.splitlines()) == 1


def test_lines_of_metrics_that_cannot_be_read_are_skipped(logs, tmp_path):
    shutil.copytree(logs / "version_0", tmp_path / "run")
    with (tmp_path / "run" / "metrics.csv").open("ab") as file:
        file.write(b"\xff\xfe\x00,,,\n9,throughput/images_seen,300\n")
    main(["compare", str(tmp_path / "run"), f"--output={tmp_path}"])
    assert [row["images_seen"] for row in rows_of(tmp_path / "compare.csv")] == ["300"]
