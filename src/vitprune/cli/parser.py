"""The parser of the command line."""

from collections.abc import Sequence
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from vitprune import pruning


class Parser(LightningArgumentParser):
    """Lightning's parser, but it raises its errors and accepts no abbreviated options."""

    def __init__(self, *args: Any, **options: Any) -> None:
        _import_classes()
        super().__init__(*args, **{**options, "exit_on_error": False, "allow_abbrev": False})

    def add_class_arguments(
        self, theclass: type, nested_key: str | None = None, **options: Any
    ) -> list[str]:
        """Add the arguments of a class; `save_dir` of Lightning's local loggers is optional.

        Without it, they log to the folder of the run.
        """
        if theclass in (CSVLogger, TensorBoardLogger):
            options["skip"] = {"save_dir", *options.get("skip", ())}
            self.add_argument(
                "--save_dir", type=str, default="", help="By default, the folder of the run."
            )
        return super().add_class_arguments(theclass, nested_key, **options)

    def add_subclass_arguments(self, baseclass: Any, nested_key: str, **options: Any) -> None:
        """Add a class or one of its subclasses; a single class is its own default.

        The base class of the parser would allow None by default. Then it tries several types, also
        when it builds an object, and hides what the constructor raises.
        """
        if isinstance(baseclass, type):
            options["default"] = {"class_path": f"{baseclass.__module__}.{baseclass.__name__}"}
        super().add_subclass_arguments(baseclass, nested_key, **options)

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
