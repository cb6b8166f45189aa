"""The entry point: dispatch to LightningCLI or to a command over folders."""

import sys
from pathlib import Path

from vitprune.cli import folder_parser
from vitprune.cli.arguments import resolve_arguments
from vitprune.cli.failures import one_message
from vitprune.cli.folder_commands import COMMANDS
from vitprune.cli.pruning_cli import PruningCLI
from vitprune.cli.quiet import no_tracebacks_of_tensorboard, quieten
from vitprune.runs.commands import command_line


def main(args: list[str] | None = None) -> None:
    """Run a command line; invalid input ends with one message and exit code 2.

    Classes of the user are also imported from the current folder.
    """
    quieten()
    argv = sys.argv
    path = sys.path.copy()
    sys.path.append(str(Path.cwd()))
    words = argv[1:] if args is None else args
    try:
        with one_message(words), no_tracebacks_of_tensorboard():
            _run(words, argv[0])
    finally:
        sys.argv = argv
        sys.path[:] = path


def _run(words: list[str], program: str) -> None:
    if words and words[0] in COMMANDS:
        sys.argv = [program, *words]
        folder_parser.run(words[0], words[1:])
    else:
        sys.argv = [program, *resolve_arguments(words)]
        PruningCLI(command_line([program, *words]))
