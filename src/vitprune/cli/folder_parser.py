"""The parser of the commands without a configuration, which run before LightningCLI is built."""

import inspect
from collections.abc import Callable
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser

from vitprune.cli.errors import explain
from vitprune.cli.folder_commands import COMMANDS
from vitprune.cli.help_texts import name_own_options
from vitprune.cli.options import Options
from vitprune.cli.options import parameters as options_in
from vitprune.errors import UsageError

POSITIONAL: dict[str, dict[str, Any]] = {
    "folder": {"type": str},
    "folders": {"type": str, "nargs": "+"},
    "model": {"type": str},
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
    parser.add_argument(positional, help=_text(command, positional), **POSITIONAL[positional])
    parser.add_function_arguments(command, skip={positional})
    name_own_options(parser, name)
    try:
        settings = parser.parse_args(arguments)
    except ArgumentError as error:
        raise UsageError(explain(str(error), options_of_command(name))) from error
    command(**settings.as_dict())


def _text(command: Callable[..., None], name: str) -> str | None:
    """Return the help text of an argument in the docstring of a command."""
    documented = ArgumentParser()
    documented.add_function_arguments(command)
    return next(each.help for each in documented._actions if each.dest == name)  # noqa: SLF001


def purpose(name: str) -> str:
    """Return what one of `COMMANDS` does, in a sentence."""
    return (inspect.getdoc(COMMANDS[name]) or "").splitlines()[0]
