"""How a command ends when it cannot go on: one message and an exit code that is not 0."""

import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from jsonargparse import ArgumentError
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from vitprune.cli.errors import explain
from vitprune.errors import UsageError

# what other libraries say when a process that this one depends on is gone, and what that means
GONE = {
    r"DataLoader worker": "a data worker has died, for lack of memory perhaps: try fewer data.num_workers",
    r"(?i)connection (was )?(closed|reset|refused)|remote process exited|timed out": "another process of this run has ended, "
    "and says why",
}


@contextmanager
def one_message(verb: str) -> Iterator[None]:
    """End the process with a message and a code, 2 for bad input and 1 for what happened on the way; faults pass through."""
    try:
        yield
    except ArgumentError as error:
        _fail(explain(str(error), verb=verb))
    except UsageError as error:
        _fail(
            str(error).rpartition("UsageError: ")[2]
        )  # after the traceback of a data worker, if it is one's
    except (ValueError, TypeError, MisconfigurationException) as error:
        if not _raised_by_lightning(error):
            raise
        _fail(str(error))
    except OSError as error:
        if error.errno is None:
            raise
        _fail(f"{error.strerror}: {error.filename or 'while writing'}", code=1)
    except RuntimeError as error:
        meaning = next(
            (meaning for pattern, meaning in GONE.items() if re.search(pattern, str(error))), None
        )
        if meaning:
            _fail(
                f"{meaning} ({str(error).splitlines()[0]}). Go on with: fit --ckpt_path last",
                code=1,
            )
        if not _raised_by_lightning(error):
            raise
        _fail(str(error))


def _raised_by_lightning(error: Exception) -> bool:
    """Tell a setting of the Trainer that does not fit from a fault of this program."""
    return f"{os.sep}lightning{os.sep}" in traceback.extract_tb(error.__traceback__)[-1].filename


def _fail(message: str, code: int = 2) -> NoReturn:
    sys.stderr.write(f"vitprune: error: {message}\n")
    sys.exit(code)
