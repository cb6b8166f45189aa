"""Two processes have the masks of a single one in every round, with DDP and with FSDP2."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.checkpoints import read_raw
from tests.two_ranks import CROSSED, SETTINGS
from tests.two_ranks import main as train

ROOT = Path(__file__).parents[2]
STRATEGIES = ["ddp", "fsdp"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    command += [
        "--rdzv-backend=c10d",
        "--rdzv-endpoint=127.0.0.1:0",
        "-m",
        "tests.two_ranks",
        str(folder),
    ]
    result = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500
    )
    if result.returncode:
        pytest.fail(
            result.stderr[-3000:], pytrace=False
        )  # an exit would be lost by a test process among several
    return folder


def load(folder, rank=0):
    return torch.load(folder / f"rank{rank}.pt")


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("setting", SETTINGS)
def test_both_ranks_have_the_same_masks_at_every_round(runs, setting, strategy):
    first, second = (load(runs / strategy / setting, rank) for rank in range(2))
    assert len(first["masks"]) == (1 if setting.startswith("first round") else 3)
    for ours, theirs in zip(first["masks"], second["masks"], strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert all(
        torch.equal(first["weights"][n], second["weights"][n])
        for n in first["weights"]
        if "accuracy" not in n
    )
    assert first["rounds"] == second["rounds"]
    assert first["rounds"][0]["sparsity"] > 0.1


@pytest.mark.parametrize(
    "setting", [name for name in SETTINGS if "random" in name or "first round" in name]
)
def test_they_are_the_masks_of_one_process(runs, setting, tmp_path):
    """Of scores that do not depend on the training, which two ranks share between them."""
    train(tmp_path, setting)
    single = load(tmp_path)
    for strategy in STRATEGIES:
        both = load(runs / strategy / setting)
        for ours, theirs in zip(both["masks"], single["masks"], strict=True):
            differ = sum(int((ours[name] ^ theirs[name]).sum()) for name in ours)
            assert differ <= (
                2 if "first round" in setting else 0
            )  # scores that tie within rounding
        for name in ("val/loss", "val/accuracy", "val/top5"):
            assert single["dense"][name] == pytest.approx(both["dense"][name])


@pytest.mark.parametrize("setting", CROSSED)
@pytest.mark.parametrize(("strategy", "other"), [("ddp", "fsdp"), ("fsdp", "ddp")])
def test_a_checkpoint_of_either_strategy_is_resumed_by_the_other(runs, strategy, other, setting):
    undisturbed, crossed = (
        load(runs / strategy / setting),
        load(runs / f"{strategy}, then {other}" / setting),
    )
    for ours, theirs in zip(undisturbed["masks"][1:], crossed["masks"], strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    for name, weight in undisturbed["weights"].items():
        torch.testing.assert_close(crossed["weights"][name], weight, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_checkpoint_of_two_processes_is_resumed_by_one(runs, strategy, tmp_path):
    train(tmp_path, "movement", ckpt=runs / strategy / "movement" / "checkpoints" / "first.ckpt")
    single, both = load(tmp_path), load(runs / strategy / "movement")
    assert all(
        torch.equal(both["masks"][1][name], single["masks"][0][name]) for name in both["masks"][1]
    )
    assert single["rounds"][-1]["sparsity"] == pytest.approx(0.6, abs=0.01)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_run_that_goes_on_elsewhere_takes_its_best_along(runs, strategy):
    before, after = (
        read_raw(runs / folder / "checkpoints" / "best.ckpt")
        for folder in (f"{strategy}/magnitude", f"{strategy}, gone on with")
    )
    scores = [
        checkpoint["callbacks"]["RunCheckpoints"]["best_score"] for checkpoint in (before, after)
    ]
    assert scores[1] >= scores[0]


def test_each_rank_has_its_own_random_numbers_in_the_checkpoint(runs):
    generators = read_raw(runs / "ddp" / "random" / "checkpoints" / "last.ckpt")["generators"]
    assert len(generators) == 2
    assert not torch.equal(generators[0]["torch"], generators[1]["torch"])
