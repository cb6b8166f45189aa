"""The parser of the command line."""

from collections.abc import Sequence
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from vitprune import pruning


class Parser(LightningArgumentParser):
    """Lightning's parser, but it raises its errors and accepts no abbreviated options."""

    def __init__(self, *args: Any, **options: Any) -> None:
        _import_classes()
        super().__init__(*args, **{**options, "exit_on_error": False, "allow_abbrev": False})

    def parse_args(
        self, args: Sequence[str] | None = None, *rest: Any, **options: Any
    ) -> Namespace:
        """Parse a command line.

        The base class rewrites `null` as `None` for an argument nested three levels deep, and
        would then read it as a string; this method writes `null` again.
        """
        if args is not None:
            args = [
                f"{arg.removesuffix('None')}null" if arg.endswith("=None") else arg for arg in args
            ]
        return super().parse_args(args, *rest, **options)


def _import_classes() -> None:
    """Import the classes that are imported on first use, so that their short names are known."""
    for name in pruning.__all__:
        getattr(pruning, name)
