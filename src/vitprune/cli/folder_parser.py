"""The parser of the commands without a configuration, which run before LightningCLI is built."""

import inspect
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser

from vitprune.cli.errors import explain
from vitprune.cli.folder_commands import COMMANDS
from vitprune.cli.help_texts import name_own_options
from vitprune.cli.options import Options
from vitprune.cli.options import parameters as options_in
from vitprune.errors import UsageError

POSITIONAL: dict[str, dict[str, Any]] = {
    "folder": {"help": "Folder of an export."},
    "folders": {"nargs": "+", "help": "Folders that vitprune has written."},
    "model": {"help": "Model: a hub name or folder, or digits."},
}


def options_of_command(name: str) -> Options:
    """Return the options of one of `COMMANDS`, without its folders or model."""
    options = options_in(COMMANDS[name])
    return {key: options[key] for key in sorted(options) if key not in POSITIONAL}


def run(name: str, arguments: list[str]) -> None:
    """Run one of `COMMANDS`.

    Raises:
        UsageError: If an argument is unknown or has an impossible value.

    """
    command = COMMANDS[name]
    parser = ArgumentParser(
        prog=f"vitprune {name}",
        description=purpose(name),
        exit_on_error=False,
        allow_abbrev=False,
    )
    [positional] = [name for name in POSITIONAL if name in inspect.signature(command).parameters]
    parser.add_argument(positional, type=str, **POSITIONAL[positional])
    parser.add_function_arguments(command, skip={positional})
    name_own_options(parser, name)
    try:
        settings = parser.parse_args(arguments)
    except ArgumentError as error:
        raise UsageError(explain(str(error), options_of_command(name))) from error
    command(**settings.as_dict())


def purpose(name: str) -> str:
    """Return what one of `COMMANDS` does, in a sentence."""
    return (inspect.getdoc(COMMANDS[name]) or "").splitlines()[0]
