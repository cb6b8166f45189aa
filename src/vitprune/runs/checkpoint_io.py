"""How Lightning writes a checkpoint to the disk: whole or not at all."""

import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from vitprune.runs.atomic import replacing


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write beside the target, flush to the disk, then rename.

    A reader finds the old file or the new one, never part of one.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Save a checkpoint.

        Raises:
            OSError: If it cannot be written, for example on a full disk. The previous file stays.

        """
        try:
            with replacing(Path(path)) as scratch, scratch.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
        except BaseException as error:
            cause = _cause(error)
            if not isinstance(cause, OSError):
                raise cause from None
            reason = f"the checkpoint was not saved: {cause.strerror}. The previous one is kept"
            raise OSError(cause.errno, reason, str(path)) from error


def _cause(error: BaseException) -> BaseException:
    """Return what stopped torch from writing; torch itself reports only an incomplete file."""
    incomplete = "inline_container" in str(error)
    return error.__context__ if incomplete and error.__context__ else error
