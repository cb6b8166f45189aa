"""Arguments that tests of the command line share."""

import shlex
from pathlib import Path

CONFIG_FOLDER = Path(__file__).parents[2] / "configs"
CONFIGS = sorted(CONFIG_FOLDER.rglob("*.yaml"))
SMALL = ["--trainer.enable_progress_bar=false", "--trainer.accelerator=cpu", "--data.num_workers=0"]
DIGITS = ["--data.max_images", "{train: 256, validation: 64}", "--data.batch_size=32"]
SHORT = [
    "--trainer.max_epochs=3",
    "--pruning.schedule.init_args.end=1",
    "--pruning.schedule.init_args.every=1",
]
ITERATIVE = ["fit", "--config", "iterative.yaml"]


def typed(command: str) -> list[str]:
    """Return the words of a command without its program, which is that of the tests."""
    words = shlex.split(command)
    return words[words.index("fit") :]
