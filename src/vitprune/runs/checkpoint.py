"""A training checkpoint: the keys that this package reads and adds, and how the file is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from pydantic import BaseModel, ValidationError
from torch import Tensor

from vitprune.errors import UsageError
from vitprune.runs.checkpoint_content import Content, Pruned, Resumable
from vitprune.runs.pruning_record import PruningRecord
from vitprune.runs.readable import check_readable
from vitprune.runs.run_folder import ExportFolder, RunFolder
from vitprune.runs.typed_json import damaged, first_mistake

VALID = (
    "A checkpoint is a .ckpt file, or the folder of the run that saved it "
    "(lightning_logs/version_N), or 'last'."
)

# Lightning's keys.
WEIGHTS = "state_dict"
OPTIMIZERS = "optimizer_states"
HYPERPARAMETERS = "hyper_parameters"
STEP = "global_step"
# Keys that the callbacks and the data module of this package add to Lightning's.
COMMANDS = "commands"
GENERATORS = "generators"
IMAGES_SEEN = "images_seen"
METRICS = "metrics"  # a list: the states of metrics on each rank, within an epoch
OPTIMIZATION = "optimization"  # import paths of the optimizer and scheduler that the user chose
PRUNING = "pruning"  # a list: one state for each pruning callback
# State keys, fixed so that a renamed class still finds its state.
DATA = "ImageData"
RUN_CHECKPOINTS = "RunCheckpoints"

PRUNING_FORMAT = 3
OLD_PRUNING = "IterativePruning"  # the key of formats 1 and 2


@dataclass(frozen=True)
class TrainingCheckpoint:
    """A training checkpoint of this package.

    Attributes:
        path: Path of the file.
        content: Content of the file, as Lightning saved it.

    """

    path: Path
    content: dict[str, Any]

    @classmethod
    def read(cls, path: str | Path) -> "TrainingCheckpoint":
        """Read a checkpoint without executing anything in it.

        Raises:
            UsageError: If there is no such file; if it is damaged, contains code, or was saved by
                another program or by an incompatible version.

        """
        path = Path(path)
        _check_path(path)
        content = _load(path)
        _check_keys(content, (WEIGHTS, "loops", STEP), path)
        _check_types(content, Content, path)
        check_format(content, str(path))
        _check_types(content, Pruned, path)
        return cls(path, content)

    def check_data(self) -> None:
        """Raise `UsageError` if the checkpoint has no position in the data of this program."""
        _check_keys(self.content, (DATA,), self.path)

    def check_resumable(self) -> None:
        """Raise `UsageError` if the checkpoint lacks a key that a resume needs."""
        self.check_data()
        _check_types(self.content, Resumable, self.path)

    @property
    def run(self) -> RunFolder:
        """Run that saved the checkpoint; the folder of the file if it was moved out of its run."""
        return RunFolder.of_checkpoint(self.path) or RunFolder(self.path.parent)

    @property
    def is_best(self) -> bool:
        """Whether the checkpoint was chosen by its validation metric."""
        return self.path.name == self.run.best.name

    @property
    def epoch(self) -> int:
        """Number of completed epochs; see `check_data`."""
        self.check_data()
        return int(self.content[DATA]["epoch"])

    @property
    def saved_in_epoch(self) -> int:
        """Epoch, counted from 0, in or after which the checkpoint was saved."""
        return int(self.content.get("epoch", 0))

    @property
    def step(self) -> int:
        """Number of optimizer steps."""
        return int(self.content[STEP])

    @property
    def weights(self) -> dict[str, Tensor]:
        """State dict of the LightningModule."""
        return self.content[WEIGHTS]

    @property
    def pretrained(self) -> str | None:
        """Name of the pretrained model that training started from."""
        return self.content.get(HYPERPARAMETERS, {}).get("pretrained")

    @property
    def commands(self) -> list[str]:
        """Commands that started and resumed the run; empty if it was started from Python."""
        return list(self.content.get(COMMANDS, []))

    @property
    def pruning(self) -> list[Mapping[str, Any]]:
        """States of the pruning callbacks; empty if nothing was pruned."""
        return self.content.get(PRUNING, [])

    @property
    def masks(self) -> dict[str, Tensor]:
        """Masks as bits, (ceil(n / 8),), uint8, by name of the parameter in the LightningModule."""
        found = [state["masks"]["keep"] for state in self.pruning if state["masks"]]
        return {name: bits for masks in found for name, bits in masks.items()}

    @property
    def record(self) -> PruningRecord:
        """Rounds and dense metrics of the run, those of the first pruning callback."""
        return PruningRecord.of(self.pruning[0] if self.pruning else None)

    @property
    def search_ended(self) -> bool:
        """Whether an accuracy-guarded search has nothing left to try."""
        return any(state["search"].get("ended", False) for state in self.pruning)

    @property
    def run_checkpoints(self) -> Mapping[str, Any] | None:
        """State of the callback that saves checkpoints: the best metric so far."""
        return _callbacks(self.content).get(RUN_CHECKPOINTS)


def check_format(content: Mapping[str, Any], name: str) -> None:
    """Raise `UsageError` if the pruning state in a checkpoint has another format.

    Args:
        content: Content of the checkpoint.
        name: Path of the checkpoint, for the message.

    """
    old = (content.get("callbacks") or {}).get(OLD_PRUNING)
    states = content.get(PRUNING, []) if old is None else [old]
    for found in {state.get("format", 1) for state in states} - {PRUNING_FORMAT}:
        raise UsageError(
            f"{name} was saved by an earlier version of vitprune (pruning state of format "
            f"{found}, not {PRUNING_FORMAT}). Resume it with that version, or start a new run from "
            "its export with --model.pretrained."
        )


def _check_keys(content: Mapping[str, Any], keys: tuple[str, ...], path: Path) -> None:
    for key in keys:
        if key not in content:
            raise UsageError(
                f"{str(path)!r} is not a training checkpoint of vitprune: it has no {key!r}. "
                f"{VALID}"
            )


def _check_types(content: Mapping[str, Any], kind: type[BaseModel], path: Path) -> None:
    try:
        kind.model_validate(content)
    except ValidationError as error:
        raise damaged(path, first_mistake(error)) from error


def _callbacks(content: dict[str, Any]) -> Mapping[str, Any]:
    return content.get("callbacks") or {}


def _check_path(path: Path) -> None:
    if ExportFolder(path).config.is_file():
        raise UsageError(
            f"{str(path)!r} is an exported model, not a checkpoint. Use it as --model.pretrained. "
            f"{VALID}"
        )
    if path.is_dir():
        raise UsageError(f"{str(path)!r} is a folder without checkpoints. {VALID}")
    if not path.is_file():
        raise UsageError(f"there is no checkpoint {str(path)!r}. {VALID}")


def _load(path: Path) -> dict[str, Any]:
    check_readable(path)
    if not is_zipfile(path):
        raise UsageError(
            f"{str(path)!r} is not a checkpoint that can be loaded: it is incomplete, or was not "
            "saved by torch.save."
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError and more
        reason = str(error).strip().splitlines()[0]
        raise UsageError(
            f"{str(path)!r} is not a checkpoint that can be loaded safely: {reason}"
        ) from error
    if not isinstance(content, dict):
        raise UsageError(f"{str(path)!r} is not a training checkpoint of vitprune. {VALID}")
    return content
