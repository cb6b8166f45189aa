"""Save the commands of a run in its checkpoints."""

from typing import Any

from lightning import Callback, LightningModule, Trainer

from vitprune.runs.commands import KEY


class RunCommands(Callback):
    """Save the commands of a run in its checkpoints: those that started and resumed it, each once.

    Args:
        command: The command of this process.

    """

    def __init__(self, command: str) -> None:
        self.commands = [command]

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the commands.

        Not as a callback's state: Lightning would warn about it where nothing is trained.
        """
        checkpoint[KEY] = self.commands

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Insert the earlier commands before this one."""
        self.commands = list(dict.fromkeys([*checkpoint.get(KEY, []), *self.commands]))
