"""Kill the default digits run at random moments; compare the result with an undisturbed run.

    python -m scripts.faults.kill_loop [--kills 12] [--seed 0]

Runs `fit --config iterative.yaml` once undisturbed, then once more with a checkpoint every other
step. Each process of the second run gets SIGKILL at a random moment after its first checkpoint,
every second one while it writes a checkpoint; the last process finishes. Both runs must end with
the same weights, masks, optimizer and generators, bit for bit.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from vitprune.runs.atomic import partial
from vitprune.runs.checkpoint import DATA, GENERATORS, PRUNING, TrainingCheckpoint
from vitprune.runs.run_folder import new_run_folder

ROOT = Path(__file__).parents[2]
FIT = (
    sys.executable,
    str(ROOT / "scripts" / "train.py"),
    "fit",
    f"--config={ROOT / 'configs' / 'iterative.yaml'}",
    "--trainer.enable_progress_bar=false",
    "--trainer.accelerator=cpu",
    "--checkpoint.every_n_steps=2",
)
PARTS = ("state_dict", PRUNING, "optimizer_states", "lr_schedulers", GENERATORS, DATA, "loops")
LONGEST_DELAY_S = 2.0  # between a checkpoint and the kill
POLL_S = 0.0005


class Run:
    """A run in a separate folder, over one or more processes.

    Args:
        folder: The folder, which is created.

    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder / "output.txt"
        self.checkpoint = new_run_folder(folder).last
        self.partial = partial(self.checkpoint)
        folder.mkdir()

    def start(self) -> subprocess.Popen:
        """Start the run, or resume it if it has a checkpoint."""
        resume = ["--ckpt_path=last"] if self.checkpoint.exists() else []
        with self.output.open("a") as log:
            return subprocess.Popen(
                [*FIT, f"--trainer.default_root_dir={self.folder}", *resume],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def finish(self) -> None:
        """Start or resume the run, and wait until it ends.

        Raises:
            SystemExit: If it fails.

        """
        if self.start().wait():
            raise SystemExit(self.output.read_text())

    def kill(self, delay_s: float, *, while_writing: bool) -> int:
        """Start or resume the run, kill it, and return the step of the checkpoint that is left.

        Args:
            delay_s: Seconds between the first checkpoint of this process and the kill.
            while_writing: Whether to wait after that for a checkpoint that is being written.

        """
        self.partial.unlink(missing_ok=True)
        before = self._saved_at()
        process = self.start()
        wait_until(lambda: self._saved_at() != before, process)
        time.sleep(delay_s)
        if while_writing:
            wait_until(self.partial.exists, process)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return TrainingCheckpoint.read(self.checkpoint).step

    def _saved_at(self) -> int:
        return self.checkpoint.stat().st_mtime_ns if self.checkpoint.exists() else 0


def wait_until(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    """Wait for a condition while a process runs.

    Raises:
        SystemExit: If the process ends before.

    """
    while not condition():
        if process.poll() is not None:
            raise SystemExit(f"The run ended with code {process.returncode} before it was killed.")
        time.sleep(POLL_S)


def same(a: object, b: object) -> bool:
    """Return whether two parts of a checkpoint are equal, bit for bit."""
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=12, help="kills (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the moments (default: %(default)s)"
    )
    options = parser.parse_args()
    moments = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        whole = Run(Path(scratch) / "whole")
        killed = Run(Path(scratch) / "killed")
        whole.finish()
        torn = 0
        for number in range(options.kills):
            delay_s = moments.uniform(0, LONGEST_DELAY_S)
            step = killed.kill(delay_s, while_writing=number % 2 == 1)
            torn += killed.partial.exists()
            print(f"Kill {number + 1}: the checkpoint is complete, at step {step}", flush=True)
        killed.finish()
        found = TrainingCheckpoint.read(killed.checkpoint).content
        wanted = TrainingCheckpoint.read(whole.checkpoint).content
        different = [part for part in PARTS if not same(found[part], wanted[part])]
    if different:
        raise SystemExit(
            f"After {options.kills} kills, these parts differ from the undisturbed run: "
            f"{', '.join(different)}."
        )
    print(
        f"{options.kills} kills, {torn} of them while a checkpoint was written: "
        f"{', '.join(PARTS)} are equal, bit for bit."
    )


if __name__ == "__main__":
    main()
