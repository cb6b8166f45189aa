"""An export to benchmark."""

from dataclasses import replace

import pytest
import torch

from tests.conftest import tiny_net
from tests.exports.reports import run_report
from tests.exports.small_nets import linear
from vitprune.exports.exported import Exported
from vitprune.exports.formats.pt2 import Pt2
from vitprune.exports.load import load_pruned
from vitprune.exports.shrinking.shrink import shrink
from vitprune.exports.shrinking.shrinkage import shrink_and_describe
from vitprune.exports.verify import logits
from vitprune.runs.run_folder import ExportFolder


@pytest.fixture
def export(tmp_path) -> ExportFolder:
    """An export with uneven widths."""
    net = tiny_net()
    for block, neurons in enumerate((20, 40)):
        linear(net, block, "mlp_in").weight.data[:neurons] = 0
    small = shrink(net)
    folder = ExportFolder(tmp_path / "export")
    small.save_pretrained(folder.path)
    replace(run_report(), shrunk=shrink_and_describe(net).report).write(folder.report)
    return folder


@pytest.fixture
def program(export) -> ExportFolder:
    """The same export, with a program for torch alone."""
    net, images = load_pruned(export.path), torch.zeros(2, 3, 16, 16)
    Pt2().write(Exported(net, net, images, logits(net, images), export))
    return export


@pytest.fixture(autouse=True)
def same_threads():
    yield
    torch.set_num_threads(1)
