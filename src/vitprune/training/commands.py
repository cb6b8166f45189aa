"""The commands of a run, saved in its checkpoints."""

from typing import Any

from lightning import Callback, LightningModule, Trainer

from vitprune.runs.checkpoint import COMMANDS


class RunCommands(Callback):
    """Save the command that started a run and those that resumed it, each once.

    Args:
        command: Command of this process.

    """

    def __init__(self, command: str) -> None:
        self.commands = [command]

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save them at the top level of the checkpoint.

        With a callback state, Lightning would warn about a missing callback in `validate`.
        """
        checkpoint[COMMANDS] = self.commands

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Put the earlier commands in front of this one."""
        self.commands = list(dict.fromkeys([*checkpoint.get(COMMANDS, []), *self.commands]))
