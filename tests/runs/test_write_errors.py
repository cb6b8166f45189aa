"""A disk that is full: the file is named, and nothing half written has its name."""

import errno
import resource
from contextlib import contextmanager

import pytest
import torch
from matplotlib.figure import Figure
from safetensors.torch import save_file

from tests.conftest import tiny_net
from tests.permissions import permissions_apply
from vitprune.cli.quiet import no_tracebacks_of_tensorboard
from vitprune.evaluation.results_folder import publish
from vitprune.figures.saving import save_figure
from vitprune.model.features import save_backbone
from vitprune.runs.atomic import replacing_folder, write_text
from vitprune.runs.checkpoint_io import AtomicCheckpointIO
from vitprune.runs.loggers import NamingTensorBoard
from vitprune.runs.metrics import MetricsCSV
from vitprune.runs.run_folder import RunFolder
from vitprune.runs.write_errors import check_writable, naming

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


def fill_tensorboard(folder):
    """Log until the thread that writes has met the limit."""
    logger = NamingTensorBoard(str(folder.parent), name="", version=folder.name)
    logger.experiment.add_text("note", "x" * 2 * LIMIT)
    logger.finalize("success")


FIGURES = {"figure": Figure(figsize=(9, 9))}
EVENTS = {
    "of a run": (fill_tensorboard, "earlier log entries are kept"),
    "of a scan": (
        lambda folder: publish(folder, "compare", FIGURES),
        "the results are complete, except for TensorBoard",
    ),
}


@pytest.mark.parametrize("events", EVENTS)
def test_events_that_cannot_be_written_name_the_folder(tmp_path, events):
    write, kept = EVENTS[events]
    too_large = pytest.raises(OSError, match=f"File too large .{kept}")
    with no_tracebacks_of_tensorboard(), no_large_files(), too_large as raised:
        write(tmp_path / "events")
    assert raised.value.filename == str(tmp_path / "events")


def test_a_backbone_appears_whole_or_not_at_all(tmp_path):
    net = tiny_net()
    net.vit.save_pretrained(tmp_path / "original")
    with no_large_files(), pytest.raises(OSError, match="File too large") as raised:
        save_backbone(net, str(tmp_path / "original"), tmp_path / "backbone")
    assert raised.value.filename == str(tmp_path / "backbone")
    assert [path.name for path in tmp_path.iterdir()] == ["original"]


def test_a_folder_that_may_not_be_changed_is_known_before_and_named_after(tmp_path):
    (tmp_path / "out").mkdir(mode=0o500)
    with permissions_apply():
        check_writable(tmp_path / "file")
        for target in ("out/file", "out/new/file"):
            with pytest.raises(PermissionError) as raised:
                check_writable(tmp_path / target)
            assert raised.value.filename == str(tmp_path / "out")
        with pytest.raises(PermissionError, match="is kept") as raised:
            write_text(tmp_path / "out" / "file", "text")
        assert raised.value.filename == str(tmp_path / "out" / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_other_errors_are_left_alone(tmp_path):
    for error in (FileNotFoundError(2, "No such file", "other"), ValueError("?"), RuntimeError()):
        with pytest.raises(type(error)) as raised, naming(tmp_path):
            raise error
        assert raised.value is error
