"""How a command ends when it fails: one message, and an exit code that is not 0."""

import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from jsonargparse import ArgumentError
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from vitprune.cli.arguments import how_to_continue
from vitprune.cli.errors import explain
from vitprune.cli.subcommands import SUBCOMMANDS, explain_unknown, options_of_subcommand
from vitprune.cli.trainer_messages import explain_trainer
from vitprune.errors import UsageError
from vitprune.runs.write_errors import FULL, REFUSED

# what other libraries say when a process that this one depends on is gone, and what that means
GONE = {
    r"DataLoader worker": "a data worker has died, perhaps for lack of memory. Reduce "
    "data.num_workers",
    r"(?i)connection (was )?(closed|reset|refused)|remote process exited|timed out": "another "
    "process of this run has ended; see its output for the reason",
}


@contextmanager
def one_message(words: list[str]) -> Iterator[None]:
    """End the process with one message and an exit code; bugs pass through as tracebacks.

    The code is 2 for bad input and 1 for a failure during the run.

    Args:
        words: The command line without its program.

    """
    subcommand = words[0] if words else ""
    try:
        yield
    except ArgumentError as error:
        if subcommand in SUBCOMMANDS or subcommand.startswith("-"):
            _fail(explain(str(error), options_of_subcommand(subcommand)))
        _fail(explain_unknown(subcommand))
    except UsageError as error:
        # an error of a data worker comes with its traceback in front
        _fail(str(error).rpartition("UsageError: ")[2])
    except (ValueError, TypeError, MisconfigurationException) as error:
        if not _raised_by_lightning(error):
            raise
        _fail(explain_trainer(str(error)))
    except OSError as error:
        if error.errno is None:
            raise
        where = f": {os.fsdecode(error.filename)}" if error.filename else ""
        _fail(f"{error.strerror}{where}{_after(error, words)}", code=1)
    except RuntimeError as error:
        text = str(error)
        for pattern, meaning in GONE.items():
            if re.search(pattern, text):
                reason = text.splitlines()[0]
                _fail(f"{meaning} ({reason}). To continue, {how_to_continue(words)}", code=1)
        if not _raised_by_lightning(error):
            raise
        _fail(explain_trainer(text))


def _after(error: OSError, words: list[str]) -> str:
    """Return what to do after a file could not be written, as the end of a message."""
    if error.errno in REFUSED:
        return ". Change its permissions, or use another path"
    if error.errno not in FULL:
        return ""
    return f". Free some space and {how_to_continue(words)}"


def _raised_by_lightning(error: Exception) -> bool:
    """Return whether a setting of the Trainer is refused, as opposed to a bug of this program."""
    return f"{os.sep}lightning{os.sep}" in traceback.extract_tb(error.__traceback__)[-1].filename


def _fail(message: str, code: int = 2) -> NoReturn:
    sys.stderr.write(f"vitprune: error: {message}\n")
    sys.exit(code)
