"""Which models of an export are measured."""

import pytest
import torch

from tests.conftest import tiny_net
from vitprune.benchmark.candidates import candidates_of, dense_of
from vitprune.benchmark.setting import Setting
from vitprune.exports.shrinking.shrinkage import widest
from vitprune.runs.run_folder import ExportFolder


@pytest.mark.parametrize(("dtype", "runs"), [(torch.float32, True), (torch.bfloat16, False)])
def test_programs_of_another_precision_are_left_out(program, dtype, runs):
    setting = Setting("cpu", dtype, compile=False)
    names = [one.name for one in candidates_of(program, "export", setting)]
    assert ("export, model.pt2" in names) is runs
    assert names[:2] == ["export", "export, load_pruned"]


def test_the_dense_architecture_is_that_before_pruning(export, tmp_path):
    assert widest(dense_of(export)) == widest(tiny_net())
    tiny_net(intermediate_size=24).save_pretrained(tmp_path / "other")  # without a report
    assert widest(dense_of(ExportFolder(tmp_path / "other"))).neurons == 24
