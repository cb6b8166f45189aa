"""What an export can be written as, beside the folder that plain `transformers` loads. One format is one file of this room."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch

from vitprune.errors import UsageError
from vitprune.export import compressed, onnx, pt2, semi_structured
from vitprune.export.exported import Exported

STOCK = "hf"  # always there
FORMATS: dict[str, Callable[[Exported], dict[str, Any]]] = {
    "pt2": pt2.write,
    "onnx": onnx.write,
    "compressed": compressed.write,
    "semi_structured": semi_structured.write,
}
EXTRAS = {
    "onnx": ("onnx", "onnxscript", "onnxruntime")
}  # packages that a format needs, by the name of the extra
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def parse_formats(text: str) -> list[str]:
    """Return the formats beside the stock one that a comma-separated list names.

    Raises:
        UsageError: If a name is unknown or a package that it needs is missing.

    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in (STOCK, *FORMATS):
            raise UsageError(
                f"--formats: {name!r} is not known. Valid are {', '.join((STOCK, *FORMATS))}."
            )
        missing = [package for package in EXTRAS.get(name, ()) if find_spec(package) is None]
        if missing:
            raise UsageError(
                f"--formats {name} needs {', '.join(missing)}: pip install {' '.join(missing)}"
            )
    return [name for name in dict.fromkeys(names) if name != STOCK]
