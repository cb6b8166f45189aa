"""The folder of a run."""

from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from vitprune.errors import UsageError

LOGS = "lightning_logs"


def resolve_checkpoint(path: str, verb: str) -> str:
    """Return the path of a checkpoint; for the folder of a run its last one to go on with, and else its best."""
    if not (Path(path) / "checkpoints").is_dir():
        return path
    return str(checkpoint_of(Path(path), "last" if verb == "fit" else "best"))


def began_from(run: Path) -> str | None:
    """Return the checkpoint that a run began from, if it did not begin afresh."""
    file = run / "config.yaml"
    return yaml.safe_load(file.read_text())["ckpt_path"] if file.is_file() else None


def find_last(root: str) -> Path:
    """Return the last checkpoint of the newest run under a root folder."""
    found = list((Path(root) / LOGS).glob("version_*/checkpoints/last.ckpt"))
    if not found:
        raise UsageError(
            f"--ckpt_path last: no run in {Path(root) / LOGS} has saved a checkpoint yet."
        )
    return max(found, key=lambda path: path.stat().st_mtime)


def check_unfinished(
    run: Path, checkpoint: dict[str, Any], max_epochs: int | None, max_steps: int
) -> None:
    """Say that a run is gone on with, and how far it has come.

    Raises:
        UsageError: If it is trained to the end and exported.

    """
    epochs = checkpoint["ImageData"]["epoch"]  # whole ones
    whole = "" if max_epochs is None else f" of {max_epochs}"
    come = f"{run} has come to epoch {epochs}{whole}, step {checkpoint['global_step']}"
    trained = 0 <= (max_epochs or -1) <= epochs or 0 <= max_steps <= checkpoint["global_step"]
    report, last = run / "export" / "report.json", run / "checkpoints" / "last.ckpt"
    if (
        trained and report.is_file() and report.stat().st_mtime >= last.stat().st_mtime
    ):  # else it is of less training
        raise UsageError(
            f"--ckpt_path last: the newest run with a checkpoint is finished: {come}. Raise "
            "trainer.max_epochs to train it on, or leave --ckpt_path out for a new run."
        )
    rank_zero_info(f"going on with the newest run that has a checkpoint: {come}")


def checkpoint_of(run: Path, name: str) -> Path:
    """Return a checkpoint of a run, the last one if there is none of that name."""
    wanted = run / "checkpoints" / f"{name}.ckpt"
    return wanted if wanted.is_file() else wanted.with_name("last.ckpt")


def run_of(checkpoint: Path) -> Path | None:
    """Return the folder of the run that a checkpoint belongs to; None for a checkpoint that was moved out of it."""
    return checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else None
