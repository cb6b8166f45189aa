"""The formats of an export besides the one of `transformers`, one module each."""

from collections.abc import Callable, Iterable
from importlib.util import find_spec

from vitprune.errors import UsageError
from vitprune.exports import compressed, onnx, pt2, semi_structured
from vitprune.exports.conversion import ConversionError
from vitprune.exports.exported import Exported
from vitprune.runs.format_report import FormatReport

STOCK = "hf"  # always written
FORMATS: dict[str, Callable[[Exported], FormatReport]] = {
    "pt2": pt2.write,
    "onnx": onnx.write,
    "compressed": compressed.write,
    "semi_structured": semi_structured.write,
}
NEEDED_PACKAGES = {"onnx": ("onnx", "onnxscript", "onnxruntime")}  # by format


def parse_formats(text: str) -> list[str]:
    """Return the formats of a comma-separated list, each once, without the one always written.

    Raises:
        UsageError: If a name is unknown or a package that the format needs is missing.

    """
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        _check(name)
    return [name for name in names if name != STOCK]


def write_formats(
    names: Iterable[str], exported: Exported
) -> tuple[dict[str, FormatReport], dict[str, str]]:
    """Write a model in further formats.

    Returns:
        The formats that were written, and for the others why the conversion failed, both by name.

    Raises:
        UsageError: If a format does not fit the choices of an export.

    """
    written: dict[str, FormatReport] = {}
    failed: dict[str, str] = {}
    for name in names:
        try:
            written[name] = FORMATS[name](exported)
        except ConversionError as error:
            failed[name] = str(error)
    return written, failed


def _check(name: str) -> None:
    valid = (STOCK, *FORMATS)
    if name not in valid:
        raise UsageError(f"--formats: unknown format {name!r}. Valid are {', '.join(valid)}.")
    missing = [package for package in NEEDED_PACKAGES.get(name, ()) if find_spec(package) is None]
    if missing:
        raise UsageError(
            f"--formats {name} needs {', '.join(missing)}. Run pip install {' '.join(missing)}."
        )
