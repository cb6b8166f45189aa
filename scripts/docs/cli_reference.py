"""The page about the command line, from the help texts of its parsers."""

import os
import re
from contextlib import redirect_stdout, suppress
from io import StringIO
from unittest.mock import patch

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from vitprune.cli.folder_commands import COMMANDS
from vitprune.cli.main import main
from vitprune.cli.subcommands import TRAINER_SUBCOMMANDS

GROUP = re.compile(r"^(?=\S.*:$)", re.MULTILINE)  # where a group of options begins
HEAD = """# Command line

`vitprune SUBCOMMAND --help` prints these texts. `vitprune fit --model.help`, `--data.help` and
`--pruning.help` list the keys of a section, which are [the configuration](configuration.md).
`vitprune fit --pruning.criterion.help SparseGPT` lists the settings of a class.

A configuration that is not found where it is named is looked for in `configs/`. Several `--config`
are merged; the later one wins, and options on the command line win over both.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page."""
    files.append(File.generated(config, "reference/cli.md", content=page()))
    return files


def page() -> str:
    """Return the page: the options that subcommands share, and then each with its own."""
    parts = [HEAD, "## vitprune", _block(_help())]
    _, _, *shared = _groups(_help("fit"))
    for name in TRAINER_SUBCOMMANDS:
        purpose, own, *_ = _groups(_help(name))
        parts += [f"## vitprune {name}", _block(purpose + own)]
    for name in COMMANDS:
        parts += [f"## vitprune {name}", _block(_help(name))]
    note = "Options of `fit` and of all subcommands that take a configuration."
    return "\n\n".join([*parts, "## Shared options", note, _block("".join(shared))])


def _groups(text: str) -> list[str]:
    """Return usage and purpose, and each group of options."""
    return GROUP.split(text)


def _help(*words: str) -> str:
    """Return a help text, 80 characters wide."""
    printed = StringIO()
    with (
        redirect_stdout(printed),
        suppress(SystemExit),
        patch.dict(os.environ, {"COLUMNS": "80"}),
        patch("sys.argv", ["vitprune"]),
    ):
        main([*words, "--help"])
    return printed.getvalue().replace(" \b", "")  # how the parser joins an option to its value


def _block(text: str) -> str:
    return f"```text\n{text.strip()}\n```"
