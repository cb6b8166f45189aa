"""Exports that several tests look at."""

import shutil
from dataclasses import replace

import pytest
import torch
from transformers import ViTImageProcessor

from tests.conftest import tiny_net
from tests.exports.runs import PruningRun, export, train
from tests.exports.small_nets import linear
from vitprune.exports.exported import Exported
from vitprune.exports.shrinking.shrink import shrink
from vitprune.exports.verify import logits
from vitprune.runs.run_folder import ExportFolder, RunFolder


@pytest.fixture(scope="session", params=["vit", "deit"])
def trained(request, tmp_path_factory) -> PruningRun:
    """A pruning run for all tests; they get a copy of its folder, see `run`."""
    folder = tmp_path_factory.mktemp(f"trained-{request.param}")
    tiny_net(request.param).save_pretrained(folder / "pretrained")
    processor = ViTImageProcessor(size={"height": 16, "width": 16})
    processor.save_pretrained(folder / "pretrained")
    return train(folder / "run", folder / "pretrained")


@pytest.fixture
def run(trained, tmp_path) -> PruningRun:
    """A pruning run."""
    shutil.copytree(trained.folder.path, tmp_path / "run")
    return replace(trained, folder=RunFolder(tmp_path / "run"))


@pytest.fixture
def exported_run(run):
    """The same run, and the report of its exported last checkpoint."""
    return run, export(run)


@pytest.fixture(params=["vit", "deit"])
def exported(request, tmp_path) -> Exported:
    """An uneven model: two heads and 48 neurons in the first block, one and 32 in the second."""
    net = tiny_net(request.param)
    linear(net, 0, "mlp_in").weight.data[:16] = 0
    linear(net, 1, "mlp_out").weight.data[:, :32] = 0
    linear(net, 1, "attn_out").weight.data[:, :16] = 0
    images = torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    small = shrink(net)
    small.save_pretrained(tmp_path)
    smallest = shrink(small, ragged=True)
    return Exported(small, smallest, images, logits(net, images), ExportFolder(tmp_path))
