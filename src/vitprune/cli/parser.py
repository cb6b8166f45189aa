"""The parser of the command line, where it differs from Lightning's."""

from collections.abc import Sequence
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser


class Parser(LightningArgumentParser):
    """A parser that raises its errors instead of printing its usage, and does not guess at abbreviated options."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "exit_on_error": False, "allow_abbrev": False})

    def parse_args(
        self, args: Sequence[str] | None = None, *rest: Any, **options: Any
    ) -> Namespace:
        """Read `null` also where it is for an argument of an argument of an argument, which the base class writes as None."""
        if args is not None:
            args = [
                f"{arg.removesuffix('None')}null" if arg.endswith("=None") else arg for arg in args
            ]
        return super().parse_args(args, *rest, **options)
