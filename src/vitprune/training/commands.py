"""By which commands a run came about, for people to repeat it."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

KEY = "commands"
GOING_ON = ("fit --ckpt_path last", "fit --ckpt_path=last")


class RunCommands(Callback):
    """Keep the commands of a run in its checkpoints: the one that began it, and those that went on with it, each once.

    Args:
        command: The one of this process.

    """

    def __init__(self, command: str) -> None:
        self.commands = [command]

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save the commands, beside the states of callbacks: Lightning would miss one where nothing is trained."""
        checkpoint[KEY] = self.commands

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Put the commands before this one in front of it."""
        self.commands = list(dict.fromkeys([*checkpoint.get(KEY, []), *self.commands]))


def command_of(checkpoint: dict[str, Any]) -> str:
    """Return what to type to repeat the run of a checkpoint; of one that does not say, the command of this process.

    What only went on after an interruption is left out: a run that is repeated without one is finished by then.
    """
    first, *later = checkpoint.get(KEY, [command_line(sys.argv)])
    return " && ".join([first, *(command for command in later if not command.endswith(GOING_ON))])


def command_line(words: Sequence[str]) -> str:
    """Return a command as it is typed, without the folders above its program.

    Args:
        words: Program and arguments, as in `sys.argv`.

    """
    program = Path(words[0]).resolve()
    module, script = ["python", "-m", program.parent.name], ["python", f"{program.parent.name}/{program.name}"]
    start = {"vitprune": ["vitprune"], "__main__.py": module}.get(program.name, script)
    return shlex.join([*start, *words[1:]])
