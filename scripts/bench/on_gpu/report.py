"""The report: a header, a table and a JSON file."""

import json
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import lightning
import torch
import torchvision
import transformers

from scripts.bench.on_gpu.figures import Figure
from scripts.bench.on_gpu.part import Result
from scripts.bench.on_gpu.scale import Scale

QUERY = "driver_version,clocks.sm,clocks.max.sm,clocks.mem,power.draw,power.limit,temperature.gpu"
NAME_WIDTH = 66  # characters


def describe_machine(scale: Scale) -> dict[str, str]:
    """Return the device, its clocks and the versions."""
    facts = {
        "device": torch.cuda.get_device_name() if scale.on_gpu else platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "transformers": transformers.__version__,
        "lightning": lightning.__version__,
    }
    if scale.on_gpu:
        facts["CUDA, cuDNN"] = f"{torch.version.cuda}, {torch.backends.cudnn.version()}"
        facts["cuSPARSELt"] = str(torch.backends.cusparselt.version())
    return facts | clocks()


def clocks() -> dict[str, str]:
    """Return what `nvidia-smi` says of the first GPU now; nothing without it."""
    if shutil.which("nvidia-smi") is None:
        return {}
    command = ["nvidia-smi", "--id=0", f"--query-gpu={QUERY}", "--format=csv,noheader"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    values = answer.stdout.strip().split(", ")
    names = QUERY.split(",")
    return dict(zip(names, values, strict=True)) if len(values) == len(names) else {}


def print_result(result: Result) -> None:
    """Print the figures of a part as lines of a table."""
    print(f"\n## {result.name} ({result.seconds:.0f} s)", flush=True)
    for figure in result.figures:
        print(_line(figure))
    if result.error:
        print(f"FAILED: {result.error}", flush=True)


def _line(figure: Figure) -> str:
    value = "-" if figure.value is None else f"{figure.value:,.4g} {figure.unit}"
    floor = "" if figure.floor is None else f"best {figure.floor:,.4g}"
    passed = {None: "", True: "ok", False: "FAILED"}[figure.passed]
    return f"{figure.name:{NAME_WIDTH}} {value:>18} {floor:>14} {passed:6} {figure.note}".rstrip()


def write_json(path: Path, facts: dict[str, str], results: Sequence[Result]) -> None:
    """Write everything to a file."""
    content = {"machine": facts, "parts": [asdict(result) for result in results]}
    path.write_text(json.dumps(content, indent=1) + "\n")


def failures(results: Sequence[Result]) -> list[str]:
    """Return what failed: parts, and figures that are not as required."""
    parts = [result.name for result in results if result.error]
    figures = [
        figure.name for result in results for figure in result.figures if figure.passed is False
    ]
    return parts + figures
