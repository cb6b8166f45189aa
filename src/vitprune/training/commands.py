"""Save the commands of a run in its checkpoints."""

from typing import Any

from lightning import Callback, LightningModule, Trainer

from vitprune.runs.commands import KEY


class RunCommands(Callback):
    """Keep the commands of a run in its checkpoints: the one that began it, and those that went on
    with it, each once.

    Args:
        command: The one of this process.

    """

    def __init__(self, command: str) -> None:
        self.commands = [command]

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the commands, beside the states of callbacks: Lightning would miss one where nothing is trained."""
        checkpoint[KEY] = self.commands

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Put the commands before this one in front of it."""
        self.commands = list(dict.fromkeys([*checkpoint.get(KEY, []), *self.commands]))
