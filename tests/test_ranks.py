"""Two processes hold the same masks at every round."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.two_ranks import SETTINGS
from tests.two_ranks import main as train
from vitprune.training.checkpoints import read_checkpoint

ROOT = Path(__file__).parents[1]


def on_two_ranks(folder, setting):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "MASTER_ADDR": "127.0.0.1"}
    arguments = ["--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0", "-m", "tests.two_ranks", str(folder), setting, "2"]
    result = subprocess.run([*command, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180)
    assert result.returncode == 0, result.stderr[-3000:]
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("setting", SETTINGS)
def test_both_ranks_have_the_same_masks_at_every_round(tmp_path, setting):
    first, second = on_two_ranks(tmp_path, setting)
    assert len(first["masks"]) == 4
    for ours, theirs in zip(first["masks"], second["masks"], strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert all(torch.equal(first["weights"][n], second["weights"][n]) for n in first["weights"] if "accuracy" not in n)
    assert first["rounds"] == second["rounds"]
    assert first["rounds"][-1]["sparsity"] == pytest.approx(0.75, abs=0.02)
    generators = read_checkpoint(tmp_path / "last.ckpt")["generators"]
    assert len(generators) == 2
    assert not torch.equal(generators[0]["torch"], generators[1]["torch"])
    if setting.startswith("random"):  # magnitudes depend on the batches, which two ranks share between them
        train(tmp_path / "single", setting, 1)
        single = torch.load(tmp_path / "single" / "rank0.pt")
        for ours, theirs in zip(first["masks"], single["masks"], strict=True):
            assert all(torch.equal(ours[name], theirs[name]) for name in ours)
        assert single["dense"] == pytest.approx(first["dense"])
