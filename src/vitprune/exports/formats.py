"""The formats of an export besides the one of `transformers`, one module each."""

import copy
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec

from lightning.pytorch.utilities.rank_zero import rank_zero_info

from vitprune.errors import UsageError
from vitprune.exports import compressed, onnx, pt2, semi_structured
from vitprune.exports.choices import Choices
from vitprune.exports.conversion import ConversionError
from vitprune.exports.exported import Exported
from vitprune.exports.verify import logits
from vitprune.model.token_merging import merge_tokens
from vitprune.runs.format_report import FormatReport

STOCK = "hf"  # always written
FORMATS: dict[str, Callable[[Exported], FormatReport]] = {
    "pt2": pt2.write,
    "onnx": onnx.write,
    "compressed": compressed.write,
    "semi_structured": semi_structured.write,
}
PROGRAMS = ("pt2", "onnx")
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
    if choices.token_merging:
        exported = _merging_tokens(choices, exported)
    for name in choices.formats:
        try:
            written[name] = FORMATS[name](exported)
        except ConversionError as error:
            failed[name] = str(error)
    return written, failed


def _merging_tokens(choices: Choices, exported: Exported) -> Exported:
    """Return the model for formats that are programs, with merged tokens.

    Raises:
        UsageError: If another format was chosen.

    """
    if others := [name for name in choices.formats if name not in PROGRAMS]:
        raise UsageError(
            f"--formats {others[0]} stores weights, not the merging of tokens. Set "
            f"model.token_merging to 0, or use {' or '.join(PROGRAMS)}."
        )
    rank_zero_info(
        "Plain transformers cannot merge tokens: the folder, its accuracy and its FLOPs are those "
        f"of the model without token merging. --formats {','.join(PROGRAMS)} merge tokens."
    )
    reference, smallest = copy.deepcopy((exported.net, exported.smallest))
    for net in (reference, smallest):
        merge_tokens(net, choices.token_merging)
    return replace(exported, smallest=smallest, logits=logits(reference, exported.images))


def _check(name: str) -> None:
    valid = (STOCK, *FORMATS)
    if name not in valid:
        raise UsageError(f"--formats: unknown format {name!r}. Valid are {', '.join(valid)}.")
    missing = [package for package in NEEDED_PACKAGES.get(name, ()) if find_spec(package) is None]
    if missing:
        raise UsageError(
            f"--formats {name} needs {', '.join(missing)}. Run pip install {' '.join(missing)}."
        )
