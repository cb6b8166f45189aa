"""A further format of an export, and what can run it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Literal

from torch import Tensor

from vitprune.exports.exported import Exported
from vitprune.runs.format_report import FormatReport
from vitprune.runs.run_folder import ExportFolder

Runtime = Literal["torch", "onnx", "openvino"]
PACKAGES: dict[Runtime, str] = {
    "torch": "torch",
    "onnx": "onnxruntime",
    "openvino": "openvino",
}
Run = Callable[[Tensor], Tensor]
"""(B, channels, height, width) -> (B, classes), both float32."""


class Format(ABC):
    """A format of an export.

    Attributes:
        name: Name in `--formats` and in `report.json`.
        usage: How the format is used, for the model card, in Markdown.
        packages: Packages that writing needs beside those of vitprune.

    """

    name: ClassVar[str]
    usage: ClassVar[str]
    packages: ClassVar[Sequence[str]] = ()

    @abstractmethod
    def write(self, exported: Exported) -> FormatReport:
        """Write the format, and compare it with the pruned model.

        Raises:
            UsageError: If the format does not fit the choices of the export.
            ConversionError: If the model cannot be converted.

        """


class Program(Format):
    """A format that runs on the CPU without the code of the model.

    Attributes:
        title: Name in tables.
        runtime: What runs it.

    """

    title: ClassVar[str]
    runtime: ClassVar[Runtime]

    @abstractmethod
    def files(self, folder: ExportFolder) -> tuple[Path, ...]:
        """Return the files of the program in an export, the one to load first."""

    @abstractmethod
    def load(self, file: Path) -> Run:
        """Return the program as a function; its number of threads is that of torch."""

    def is_in(self, folder: ExportFolder) -> bool:
        """Return whether an export has the program."""
        return all(file.is_file() for file in self.files(folder))

    def runs_here(self) -> bool:
        """Return whether its runtime is installed."""
        return find_spec(PACKAGES[self.runtime]) is not None

    def load_from(self, folder: ExportFolder) -> Run:
        """Return the program of an export as a function."""
        return self.load(self.files(folder)[0])

    def bytes(self, folder: ExportFolder) -> int:
        """Return the size of its files."""
        return sum(file.stat().st_size for file in self.files(folder))
