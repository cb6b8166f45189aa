"""The formats by name, and how an export writes them."""

from dataclasses import replace
from importlib.util import find_spec

from vitprune.errors import UsageError
from vitprune.exports.choices import Choices, Precision
from vitprune.exports.conversion import ConversionError
from vitprune.exports.exported import Exported
from vitprune.exports.formats.compressed import Compressed
from vitprune.exports.formats.format import Format, Program, Runtime
from vitprune.exports.formats.int8 import Int8
from vitprune.exports.formats.onnx import ONNX
from vitprune.exports.formats.onnx_int8 import ONNXInt8
from vitprune.exports.formats.openvino import OpenVINO
from vitprune.exports.formats.openvino_int8 import OpenVINOInt8
from vitprune.exports.formats.pt2 import Pt2
from vitprune.exports.formats.semi_structured import SemiStructured
from vitprune.exports.merging import check_programs, merging_tokens
from vitprune.runs.format_report import FormatReport
from vitprune.runs.run_folder import ExportFolder

STOCK = "hf"  # always written
ALL: tuple[Format, ...] = (
    Pt2(),
    ONNX(),
    ONNXInt8(),
    OpenVINO(),
    OpenVINOInt8(),
    Compressed(),
    SemiStructured(),
)
FORMATS = {format.name: format for format in ALL}
PROGRAMS = [format for format in ALL if isinstance(format, Program)]
INT8 = {format.source.name: format.name for format in ALL if isinstance(format, Int8)}
CHOICES = tuple(name for name in FORMATS if name not in INT8.values())


def parse_formats(text: str, dtype: Precision = "float32") -> list[str]:
    """Return the formats of a comma-separated list, each once, without the one always written.

    With the type int8 a format that supports it is followed by its int8 version.

    Raises:
        UsageError: If a name is unknown, a package that a format needs is missing, or no format
            supports int8.

    """
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        _check(name)
    chosen = [name for name in names if name != STOCK]
    if dtype != "int8":
        return chosen
    if not INT8.keys() & set(chosen):
        raise UsageError(
            "--dtype int8: none of the formats stores int8. Add "
            f"{' or '.join(INT8)} to --formats, or use --dtype float16."
        )
    return [each for name in chosen for each in (name, *([INT8[name]] if name in INT8 else []))]


def check_choices(choices: Choices) -> None:
    """Raise `UsageError` if a format does not go with the other choices."""
    if choices.token_merging:
        check_programs([FORMATS[name] for name in choices.formats])


def write_formats(
    choices: Choices, exported: Exported
) -> tuple[dict[str, FormatReport], dict[str, str]]:
    """Write a model in further formats; programs merge tokens if the user chose that.

    Returns:
        The formats that were written, and for the others why the conversion failed, both by name.

    Raises:
        UsageError: If a format does not fit the choices of an export.

    """
    written: dict[str, FormatReport] = {}
    failed: dict[str, str] = {}
    formats = [FORMATS[name] for name in choices.formats]
    if choices.token_merging and formats:
        exported = merging_tokens(exported, choices.token_merging)
    for each in formats:
        try:
            report = replace(each.write(exported), token_merging=choices.token_merging)
            is_measured = report.accuracy is not None or report.bytes is None
            if choices.token_merging and exported.quantization and not is_measured:
                report = replace(report, accuracy=exported.quantization.accuracy)
            written[each.name] = report
        except ConversionError as error:
            failed[each.name] = str(error)
    return written, failed


def programs_in(folder: ExportFolder) -> list[Program]:
    """Return the formats in an export that can run here."""
    return [program for program in PROGRAMS if program.is_in(folder) and program.runs_here()]


def programs_of(runtime: Runtime) -> list[Program]:
    """Return the formats that a runtime runs, the quantized one last."""
    return [program for program in PROGRAMS if program.runtime == runtime]


def _check(name: str) -> None:
    valid = (STOCK, *CHOICES)
    if name not in valid:
        raise UsageError(f"--formats: unknown format {name!r}. Valid are {', '.join(valid)}.")
    packages = FORMATS[name].packages if name in FORMATS else ()
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise UsageError(
            f"--formats {name} needs {', '.join(missing)}. Run pip install {' '.join(missing)}."
        )
