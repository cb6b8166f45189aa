"""Exports that several tests look at."""

import pytest
import torch

from tests.conftest import tiny_net
from tests.export.runs import export, train
from vitprune.export.exported import Exported
from vitprune.export.shrink import shrink
from vitprune.export.verify import logits
from vitprune.model.anatomy.blocks import find_blocks
from vitprune.runs.run_folder import ExportFolder, RunFolder


@pytest.fixture
def run(tmp_path, pretrained):
    """A pruning run with its model and data."""
    model, data = train(tmp_path, pretrained)
    return RunFolder(tmp_path), model, data


@pytest.fixture
def exported_run(run):
    """The same run, and the report of its exported last checkpoint."""
    folder, model, data = run
    return folder, model, data, export(folder.path, model, data)


@pytest.fixture(params=["vit", "deit"])
def exported(request, tmp_path):
    """An uneven model: two heads and 48 neurons in the first block, one and 32 in the second."""
    net = tiny_net(request.param)
    first, second = find_blocks(net)
    first.linear["mlp_in"].weight.data[:16] = 0
    second.linear["mlp_out"].weight.data[:, :32] = 0
    second.linear["attn_out"].weight.data[:, :16] = 0
    images = torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    small = shrink(net)
    small.save_pretrained(tmp_path)
    smallest = shrink(small, ragged=True)
    return Exported(small, smallest, images, logits(net, images), ExportFolder(tmp_path))
