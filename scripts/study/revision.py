"""The version of the code that produced a result."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = ("src", "scripts/study", "constraints.txt")


def revision() -> str:
    """Return the commit of the code, with a `+` if it has uncommitted changes.

    It is empty outside of a checkout, or without git.
    """
    if not shutil.which("git"):
        return ""
    changed = _git("status", "--porcelain")
    return _git("log", "-1", "--format=%h") + ("+" if changed else "")


def _git(*command: str) -> str:
    arguments = ["git", "-C", str(ROOT), *command, "--", *CODE]
    return subprocess.run(arguments, capture_output=True, text=True).stdout.strip()
