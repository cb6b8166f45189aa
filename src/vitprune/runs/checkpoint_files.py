"""A checkpoint as a file: written whole or not at all, and read without trust."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from vitprune.errors import UsageError

VALID = "A checkpoint is a .ckpt file, or the folder of the run that saved it (lightning_logs/version_N), or 'last'."


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write beside the target, flush to the disk, then rename: a reader finds the old file or the new one, whole."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Save a checkpoint.

        Raises:
            OSError: If it cannot be written, on a full disk for example; the file that was there
                before stays.

        """
        try:
            with _at_once(Path(path)) as scratch, scratch.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
        except BaseException as error:
            cause = error
            if (
                "inline_container" in str(error) and error.__context__
            ):  # torch's complaint about a file that was broken off
                cause = error.__context__
            if isinstance(cause, OSError):
                reason = f"the checkpoint could not be saved: {cause.strerror}; the one before it is kept"
                raise OSError(cause.errno, reason, str(path)) from error
            raise cause from None


def copy_checkpoint(source: Path, target: Path) -> None:
    """Copy a checkpoint, whole or not at all."""
    with _at_once(target) as scratch:
        shutil.copy2(source, scratch)


@contextmanager
def _at_once(target: Path) -> Iterator[Path]:
    """Give a file to write beside the target, which takes its place when the block ends, or goes away if that fails."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(
        f".{target.name}.partial"
    )  # one that a kill left behind is written over
    try:
        yield scratch
        os.replace(scratch, target)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint without executing anything in it.

    Raises:
        UsageError: If there is no such file, or it is torn, foreign or wants to execute code.

    """
    if (Path(path) / "config.json").is_file():
        raise UsageError(
            f"{str(path)!r} is an exported model, not a checkpoint: give it as --model.pretrained. "
            f"{VALID}"
        )
    if Path(path).is_dir():
        raise UsageError(
            f"{str(path)!r} is a folder, but not that of a run with checkpoints in it. {VALID}"
        )
    if not Path(path).is_file():
        raise UsageError(f"there is no checkpoint {str(path)!r}. {VALID}")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (
        Exception
    ) as error:  # torch raises RuntimeError, UnpicklingError, EOFError and more for bad files
        reason = str(error).strip().splitlines()[0]
        raise UsageError(
            f"{str(path)!r} is not a checkpoint that can be loaded safely: {reason}"
        ) from error
    if (
        not isinstance(checkpoint, dict)
        or "state_dict" not in checkpoint
        or "loops" not in checkpoint
    ):
        raise UsageError(f"{str(path)!r} is not a training checkpoint of this program.")
    return checkpoint
