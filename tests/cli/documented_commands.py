"""The commands of the README and the docs, split into words by a shell."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from vitprune.cli.subcommands import SUBCOMMANDS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^(?:\w+ .*)?(?:vitprune|scripts/train\.py) +\w", re.MULTILINE)
PROGRAMS = ("vitprune", "python", "torchrun", "srun", "pip", "tensorboard", "make")
NOTE = f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n"


@dataclass(frozen=True)
class Command:
    """A command of a page.

    Attributes:
        page: Name of the page.
        words: The subcommand and its arguments.

    """

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words)}"


def documented_commands() -> list[Command]:
    """Return the commands in the shell blocks of all pages."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for number in "01":  # for lightning_logs/version_*
            (folder / "lightning_logs" / f"version_{number}").mkdir(parents=True)
        programs = folder / "bin"
        programs.mkdir()
        for program in PROGRAMS:
            path = programs / program
            path.write_text(NOTE)
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return [Command(page.stem, words) for page in PAGES for words in _commands_of(page, folder)]


def _commands_of(page: Path, folder: Path) -> list[tuple[str, ...]]:
    blocks = [
        text
        for language, text in FENCED.findall(page.read_text())
        if language in ("", "bash") and COMMAND.search(text)
    ]
    script = "\n".join(blocks)
    shell = subprocess.run(
        [str(shutil.which("bash")), "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": str(folder / "bin")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "syntax error" not in shell.stderr, (page, shell.stderr)
    calls = [json.loads(line) for line in shell.stdout.splitlines()]
    found = []
    for call in calls:
        at = next((at for at, word in enumerate(call) if word in SUBCOMMANDS), None)
        if at is not None:
            found.append(tuple(call[at:]))
    return found
