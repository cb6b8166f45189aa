"""A disk that is full: the file is named, and nothing half written has its name."""

import errno
import resource
from contextlib import contextmanager

import pytest
import torch
from matplotlib.figure import Figure
from safetensors.torch import save_file

from vitprune.figures.saving import save_figure
from vitprune.runs.atomic import replacing_folder, write_text
from vitprune.runs.checkpoint_io import AtomicCheckpointIO
from vitprune.runs.metrics import MetricsCSV
from vitprune.runs.run_folder import RunFolder
from vitprune.runs.write_errors import naming

LIMIT = 4096  # bytes


@contextmanager
def no_large_files():
    """Let every write beyond the first bytes of a file fail, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def write_folder(path):
    with replacing_folder(path) as scratch:
        scratch.mkdir()
        (scratch / "config.json").write_text("{}")
        save_file({"a": torch.zeros(5000)}, scratch / "model.safetensors")


WRITERS = {
    "text": lambda path: write_text(path, "x" * 9999),
    "a checkpoint": lambda path: AtomicCheckpointIO().save_checkpoint(
        {"a": torch.zeros(5000)}, path
    ),
    "a figure": lambda path: save_figure(Figure(figsize=(9, 9)), path),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_that_cannot_be_written_is_named_and_the_old_one_kept(tmp_path, writer):
    target = tmp_path / "target"
    target.write_text("old")
    with no_large_files(), pytest.raises(OSError, match="File too large .*is kept") as raised:
        WRITERS[writer](target)
    assert raised.value.filename == str(target)
    assert raised.value.errno == errno.EFBIG
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_what_safetensors_says_names_the_folder(tmp_path):
    with no_large_files(), pytest.raises(OSError, match="File too large") as raised:
        write_folder(tmp_path / "export")
    assert raised.value.filename == str(tmp_path / "export")
    assert list(tmp_path.iterdir()) == []
    write_folder(tmp_path / "export")
    assert {file.name for file in (tmp_path / "export").iterdir()} == {
        "config.json",
        "model.safetensors",
    }


def test_metrics_that_cannot_be_appended_name_the_file(tmp_path):
    metrics = MetricsCSV(RunFolder(tmp_path))
    metrics.log_metrics({"loss": 1.0}, 0)
    with no_large_files(), pytest.raises(OSError, match="earlier lines are kept") as raised:
        metrics.log_metrics({"loss" * 999: 1.0, "accuracy" * 999: 1.0}, 1)
    assert raised.value.filename == str(tmp_path / "metrics.csv")


def test_other_errors_are_left_alone(tmp_path):
    for error in (FileNotFoundError(2, "No such file", "other"), ValueError("?"), RuntimeError()):
        with pytest.raises(type(error)) as raised, naming(tmp_path):
            raise error
        assert raised.value is error
