"""The subcommands and their options."""

import difflib
from collections.abc import Callable

from lightning import Trainer
from lightning.pytorch.cli import LightningCLI
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from vitprune.cli.folder_commands import COMMANDS
from vitprune.cli.folder_parser import options_of_command
from vitprune.cli.options import Options, parameters
from vitprune.cli.trainer import SCANS, PruningTrainer
from vitprune.data import ImageData
from vitprune.model import ViTClassifier
from vitprune.pruning import IterativePruning
from vitprune.training.checkpoints import RunCheckpoints
from vitprune.training.predictions import Predictions

SECTIONS = {
    "data": ImageData,
    "model": ViTClassifier,
    "pruning": IterativePruning | None,
    "trainer": Trainer,
    "checkpoint": RunCheckpoints,
    "predictions": Predictions,
    "optimizer": Optimizer,
    "lr_scheduler": LRScheduler,
}
# methods of the Trainer, and their parameters that are not options
TRAINER_SUBCOMMANDS = {
    **LightningCLI.subcommands(),
    **{name: {"model", "datamodule"} for name in ("export", *SCANS)},
}
SUBCOMMANDS = (*TRAINER_SUBCOMMANDS, *COMMANDS)


def options_of_subcommand(name: str) -> Options:
    """Return the options of a subcommand, its own first.

    For an unknown subcommand: the options that all subcommands with a configuration share.
    """
    if name in COMMANDS:
        return options_of_command(name)
    shared = dict(sorted({"config": str, "seed_everything": bool | int, **SECTIONS}.items()))
    if name not in TRAINER_SUBCOMMANDS:
        return shared
    method: Callable[..., object] = getattr(PruningTrainer, name)
    own = parameters(method)
    return {key: own[key] for key in own if key not in TRAINER_SUBCOMMANDS[name]} | shared


def explain_unknown(name: str) -> str:
    """Return that a subcommand does not exist, and which do."""
    close = difflib.get_close_matches(name, SUBCOMMANDS, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    what = f"unknown subcommand {name}." if name else "a subcommand is required."
    return f"{what}{hint} Valid are {', '.join(SUBCOMMANDS)}."
