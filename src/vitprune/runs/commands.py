"""The commands that started and resumed a run."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

KEY = "commands"


GOING_ON = ("fit --ckpt_path last", "fit --ckpt_path=last")


def command_of(checkpoint: dict[str, Any]) -> str:
    """Return what to type to repeat the run of a checkpoint; of one that does not say, the command
    of this process.

    What only went on after an interruption is left out: a run that is repeated without one is
    finished by then.
    """
    first, *later = checkpoint.get(KEY, [command_line(sys.argv)])
    return " && ".join([first, *(command for command in later if not command.endswith(GOING_ON))])


def command_line(words: Sequence[str]) -> str:
    """Return a command as it is typed, without the folders above its program.

    Args:
        words: Program and arguments, as in `sys.argv`.

    """
    program = Path(words[0]).resolve()
    module, script = (
        ["python", "-m", program.parent.name],
        ["python", f"{program.parent.name}/{program.name}"],
    )
    start = {"vitprune": ["vitprune"], "__main__.py": module}.get(program.name, script)
    return shlex.join([*start, *words[1:]])
