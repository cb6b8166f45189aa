"""The commands that started and resumed a run."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

RESUMING = ("fit --ckpt_path last", "fit --ckpt_path=last")


def command_to_repeat(commands: Sequence[str]) -> str:
    """Return the command line that repeats a run.

    Commands that only resumed it after an interruption are left out.

    Args:
        commands: Commands of the run, the first one first; if empty, the command of this process.

    """
    first, *later = commands or [command_line(sys.argv)]
    return " && ".join([first, *(command for command in later if not command.endswith(RESUMING))])


def command_line(words: Sequence[str]) -> str:
    """Return a command as it is typed, without the folders above its program.

    Args:
        words: Program and arguments, as in `sys.argv`.

    """
    program = Path(words[0]).resolve()
    starts = {
        "vitprune": ["vitprune"],
        "__main__.py": ["python", "-m", program.parent.name],
    }
    script = ["python", f"{program.parent.name}/{program.name}"]
    return shlex.join([*starts.get(program.name, script), *words[1:]])
