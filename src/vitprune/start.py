"""The command `vitprune`: a Ctrl-C while it imports what it needs, which takes seconds, is one line and no traceback."""

import sys


def main(args: list[str] | None = None) -> None:
    """Run a command line; by default that of this process."""
    try:
        from vitprune.cli import main as run

        run(args)
    except KeyboardInterrupt:
        sys.stderr.write("vitprune: interrupted\n")
        sys.exit(130)
