"""The commands of the README are commands: their options exist."""

import re
import shlex
from pathlib import Path

import pytest

from vitprune.cli.subcommands import SUBCOMMANDS, options_of_subcommand

README = (Path(__file__).parents[2] / "README.md").read_text()
FENCED = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
BLOCKS = [text for language, text in FENCED if language in ("", "bash")]
LINES = "\n".join(BLOCKS).replace("\\\n", " ").splitlines()
STARTS = re.compile(r"(?:.* )?(?:vitprune|python scripts/train\.py) +(?=\w)")
COMMANDS = [
    shlex.split(STARTS.sub("", line, count=1), comments=True)
    for line in LINES
    if STARTS.match(line)
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_subcommand_and_options_exist(command):
    subcommand, *words = command
    assert subcommand in SUBCOMMANDS
    options = options_of_subcommand(subcommand)
    named = [word[2:].partition("=")[0].partition(".")[0] for word in words if word[:2] == "--"]
    assert set(named) <= {*options, "help"}


def test_they_are_found():
    assert len(COMMANDS) > 15
