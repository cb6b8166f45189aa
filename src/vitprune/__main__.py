"""The command `vitprune`, also as `python -m vitprune`.

Ctrl-C during the imports, which take seconds, prints one line and no traceback.
"""

import sys


def main(args: list[str] | None = None) -> None:
    """Run a command line; by default that of this process."""
    try:
        from vitprune.cli.main import main as run

        run(args)
    except KeyboardInterrupt:
        sys.stderr.write("vitprune: interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
