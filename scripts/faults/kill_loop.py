"""Kill the digits default with SIGKILL again and again, at random moments; what it ends with must
be what it would have.

    python -m scripts.faults.kill_loop [--kills 12] [--seed 0]

Runs `fit --config iterative.yaml` once undisturbed. Then once more, with a checkpoint every other
step, where each process is killed at a random moment after it has saved something, every second one
while it is writing a checkpoint; the last one may finish. Both must end with the same weights,
masks, optimizer and generators, bit for bit.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from vitprune.runs.atomic import partial
from vitprune.runs.checkpoint import DATA, GENERATORS, TrainingCheckpoint
from vitprune.runs.run_folder import LOGS, VERSION, RunFolder

ROOT = Path(__file__).parents[2]
PARTS = ("state_dict", "optimizer_states", "lr_schedulers", GENERATORS, DATA, "loops")


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    command = [
        sys.executable,
        ROOT / "scripts" / "train.py",
        "fit",
        "--config",
        ROOT / "configs" / "iterative.yaml",
    ]
    options = [
        f"--trainer.default_root_dir={folder}",
        "--trainer.enable_progress_bar=false",
        "--trainer.accelerator=cpu",
    ]
    log = (folder / "output.txt").open("a")
    return subprocess.Popen(
        [*map(str, command), *options, *arguments], stdout=log, stderr=log, start_new_session=True
    )


def last(folder: Path) -> Path:
    """Return the last checkpoint of the one run under a root folder."""
    return RunFolder(folder / LOGS / f"{VERSION}0").last


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def wait_until(condition: Any, process: subprocess.Popen) -> None:
    while not condition():
        if process.poll() is not None:
            sys.exit(f"the run ended by itself, with code {process.returncode}")
        time.sleep(0.0005)


def kill_once(folder: Path, arguments: list[str], moments: random.Random, writing: bool) -> int:
    """Start or resume the run, kill it, and return the step of the checkpoint that is left."""
    checkpoint = last(folder)
    scratch = partial(checkpoint)
    scratch.unlink(missing_ok=True)
    seen = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
    process = start(folder, *arguments, *(["--ckpt_path=last"] if seen else []))
    wait_until(lambda: checkpoint.exists() and checkpoint.stat().st_mtime_ns != seen, process)
    time.sleep(moments.uniform(0, 2))
    if writing:
        wait_until(scratch.exists, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return TrainingCheckpoint.read(checkpoint).step


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    moments = random.Random(options.seed)
    arguments = ["--checkpoint.every_n_steps=2"]
    with tempfile.TemporaryDirectory() as scratch:
        whole, killed = Path(scratch) / "whole", Path(scratch) / "killed"
        whole.mkdir()
        killed.mkdir()
        if start(whole, *arguments).wait():
            sys.exit((whole / "output.txt").read_text())
        torn = 0
        for number in range(options.kills):
            step = kill_once(killed, arguments, moments, writing=number % 2 == 1)
            torn += partial(last(killed)).exists()
            print(f"kill {number + 1}: the checkpoint is whole, of step {step}", flush=True)
        if start(killed, *arguments, "--ckpt_path=last").wait():
            sys.exit((killed / "output.txt").read_text())
        ours, theirs = (TrainingCheckpoint.read(last(f)).content for f in (killed, whole))
        different = [part for part in PARTS if not same(ours[part], theirs[part])]
        if different:
            sys.exit(
                f"after {options.kills} kills these differ from the undisturbed run: {different}"
            )
        print(
            f"{options.kills} kills, {torn} of them in the middle of a file: all of "
            f"{', '.join(PARTS)} equal, bit for bit"
        )


if __name__ == "__main__":
    main()
