"""Things that break, for real, and what is left of a run afterwards."""

import itertools
import os
import random
import signal
import subprocess
import time

import pytest

from tests.checkpoints import read_raw
from tests.children import Child, ranks
from tests.interrupted import assert_same
from vitprune.data.sources import load_source
from vitprune.errors import UsageError
from vitprune.runs.checkpoint import TrainingCheckpoint

pytestmark = pytest.mark.slow
STATE = ("state_dict", "optimizer_states", "lr_schedulers", "generators", "ImageData")


def last(folder):
    return folder / "lightning_logs" / "version_0" / "checkpoints" / "last.ckpt"


def assert_finished_like(folder, undisturbed):
    ours, theirs = read_raw(last(folder)), read_raw(last(undisturbed))
    for part in STATE:
        assert_same(ours[part], theirs[part], part)
    assert_same(ours["pruning"], theirs["pruning"])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    child = Child(folder)
    assert child.wait() == 0, child.output
    return folder


def test_killed_again_and_again_at_random_moments(tmp_path, undisturbed):
    moments = random.Random(0)
    for _ in range(10):
        seen = last(tmp_path).stat().st_mtime_ns if last(tmp_path).exists() else 0
        child = Child(tmp_path, *(["--ckpt_path=last"] if seen else []))
        while not last(tmp_path).exists() or last(tmp_path).stat().st_mtime_ns == seen:
            assert child.process.is_alive(), child.output
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.1))
        child.kill()
        assert child.wait() == -9
        read_raw(last(tmp_path))
    child = Child(tmp_path, "--ckpt_path=last")
    assert child.wait() == 0, child.output
    assert_finished_like(tmp_path, undisturbed)


def test_killed_while_a_checkpoint_is_being_saved(tmp_path, undisturbed):
    steps = []
    for moment in ("while a checkpoint is written", "before it is renamed", "after it is renamed"):
        child = Child(tmp_path, *(["--ckpt_path=last"] if steps else []), sabotage=moment)
        assert child.wait() == -9, child.output
        steps.append(read_raw(last(tmp_path))["global_step"])
    assert steps == [
        11,
        22,
        33,
    ]  # the old file after the first two, the new one after the third (which saved `best` as well)
    child = Child(tmp_path, "--ckpt_path=last")
    assert child.wait() == 0, child.output
    assert_finished_like(tmp_path, undisturbed)
    assert [path.name for path in sorted(last(tmp_path).parent.iterdir())] == [
        "best.ckpt",
        "last.ckpt",
    ]


def test_a_checkpoint_that_may_not_grow(tmp_path, undisturbed):
    child = Child(tmp_path, sabotage="limit on files")
    assert child.wait() == 1, child.output
    assert "File too large" in child.output
    assert "last.ckpt" in child.output
    assert "Traceback" not in child.output
    assert [path.name for path in last(tmp_path).parent.iterdir()] == ["last.ckpt"]
    child = Child(tmp_path, "--ckpt_path=last")
    assert child.wait() == 0, child.output
    assert_finished_like(tmp_path, undisturbed)


@pytest.fixture
def small_disk(tmp_path):
    """Return the folder of a file system of 40 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", folder],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("a file system can be mounted by root only")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk(tmp_path, small_disk, undisturbed):
    root = f"--trainer.default_root_dir={small_disk}"
    child = Child(tmp_path, root, sabotage="full disk")
    assert child.wait() == 1, child.output
    assert (
        child.output.count("vitprune: error:") == child.output.count("No space left on device") == 1
    )
    assert "Traceback" not in child.output
    assert {path.name for path in last(small_disk).parent.iterdir()} == {"filler", "last.ckpt"}
    (last(small_disk).parent / "filler").unlink()
    child = Child(tmp_path, root, "--ckpt_path=last")
    assert child.wait() == 0, child.output
    assert_finished_like(small_disk, undisturbed)


def test_a_nan_in_a_batch(tmp_path, undisturbed):
    child = Child(tmp_path, sabotage="NaN in a batch")
    assert child.wait() == 2, child.output
    assert (
        child.output.count(
            "vitprune: error: the loss is nan in epoch 0, batch 7, after optimizer step 7"
        )
        == 1
    )
    assert "Traceback" not in child.output
    child = Child(tmp_path, "--ckpt_path=last")
    assert child.wait() == 0, child.output
    assert_finished_like(tmp_path, undisturbed)


def test_a_dead_data_worker(tmp_path):
    child = Child(tmp_path, "--data.num_workers=2", sabotage="dead worker")
    assert child.wait() == 1, child.output
    assert "vitprune: error: a data worker" in child.output
    assert "Traceback" not in child.output


def test_a_truncated_checkpoint(tmp_path, undisturbed):
    whole = last(undisturbed).read_bytes()
    for size in (0, 1, 1000, len(whole) // 2, len(whole) - 1):
        (tmp_path / "last.ckpt").write_bytes(whole[:size])
        with pytest.raises(UsageError, match="last.ckpt' is not a checkpoint that can be loaded"):
            TrainingCheckpoint.read(tmp_path / "last.ckpt")


@pytest.mark.parametrize("taken_back", [True, False])
def test_a_slurm_job_is_put_back_into_its_queue(tmp_path, undisturbed, taken_back):
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/queue\nexit {int(not taken_back)}\n')
    scontrol.chmod(0o755)
    task = {
        "JOB_ID": "1234",
        "JOB_NAME": "prune",
        "NTASKS": "1",
        "PROCID": "0",
        "LOCALID": "0",
        "NODEID": "0",
    }
    slurm = {
        "PATH": f"{scontrol.parent}:{os.environ['PATH']}",
        **{f"SLURM_{name}": value for name, value in task.items()},
    }
    child = Child(tmp_path, environment=slurm)
    while not last(tmp_path).exists():
        assert child.process.is_alive(), child.output
        time.sleep(0.005)
    child.kill(signal.SIGUSR1)
    assert child.wait() == 128 + signal.SIGUSR1, child.output
    assert (tmp_path / "queue").read_text() == "requeue 1234\n"
    assert ("The job was requeued" in child.output) is taken_back
    assert ("The job was not requeued: " in child.output) is not taken_back
    assert "Stopped by SIGUSR1" in child.output
    assert not list(
        tmp_path.glob("hpc_ckpt*")
    )  # Lightning's, which a later run would go on from unasked
    child = Child(tmp_path, "--ckpt_path=last", environment=slurm)
    assert child.wait() == 0, child.output
    assert_finished_like(tmp_path, undisturbed)


@pytest.fixture
def streamed(tmp_path):
    """Return arguments to read the digits from shards, more of them on one rank."""
    for split, cuts in {"train": (0, 20, 32, 50, 64), "validation": (0, 8, 16)}.items():
        rows = load_source("digits")[split]
        for begin, end in itertools.pairwise(cuts):
            rows.select(range(begin, end)).to_parquet(
                tmp_path / "shards" / f"{split}-{begin:03}.parquet"
            )
    stream = [
        f"--data.source={tmp_path / 'shards'}",
        "--data.streaming.shuffle_buffer=6",
    ]
    return [*stream, "--trainer.max_epochs=3"]


@pytest.mark.parametrize("source", ["digits", "stream"])
def test_a_dead_rank(tmp_path, source, request):
    options = (
        request.getfixturevalue("streamed")
        if source == "stream"
        else ["--trainer.enable_progress_bar=true"]
    )
    whole = ranks(tmp_path / "whole", *options)
    assert [child.wait() for child in whole] == [0, 0], whole[0].output
    survivor, dead = ranks(tmp_path / "broken", *options, sabotage="dead rank")
    assert dead.wait() in (-9, 255)  # 255: the forking process did not see how it ended
    assert survivor.wait(30) == 1, survivor.output
    assert "another process of this run has ended" in survivor.output
    assert "Traceback" not in survivor.output
    if source == "stream":
        ours, theirs = read_raw(last(tmp_path / "broken"))["ImageData"]["streams"]
        assert ours["states"] != theirs["states"]
    resumed = ranks(tmp_path / "broken", *options, "--ckpt_path=last")
    assert [child.wait() for child in resumed] == [0, 0], resumed[0].output
    assert_finished_like(tmp_path / "broken", tmp_path / "whole")
