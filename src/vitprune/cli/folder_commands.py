"""The commands that take folders: they need no configuration, so they are dispatched before LightningCLI."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from jsonargparse import ArgumentError, ArgumentParser

from vitprune.benchmark.candidates import Setting, contender, contenders_of, dense_of
from vitprune.benchmark.results import print_speeds, save
from vitprune.benchmark.speed import describe_machine, race
from vitprune.cli.errors import explain
from vitprune.errors import UsageError
from vitprune.export.formats import DTYPES
from vitprune.export.load import load_stock
from vitprune.reports import compare as compare_runs
from vitprune.reports import report as run_report
from vitprune.runs.names import resolve, short_names


def benchmark(
    folders: list[str],
    base: str | None = None,
    batch_size: int = 16,
    repeats: int = 10,
    threads: int | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    dtype: Literal["float32", "float16", "bfloat16"] = "float32",
    compile: bool = False,
    output: str | None = None,
) -> None:
    """Measure latency and throughput of exported folders against the dense model.

    Args:
        folders: Exports, each as plain transformers loads it and in what other formats it has.
        base: Folder of the dense model; by default the architecture that the first export came
            from.
        batch_size: Of the throughput; latency is of a batch of one.
        repeats: Rounds after the warm-up, in each of which every model runs once.
        threads: Of torch and ONNX Runtime; as many as torch takes by default.
        device: auto is the GPU if there is one.
        dtype: What to compute in.
        compile: Use torch.compile.
        output: Folder for benchmark.csv and benchmark.png; by default the first folder that
            vitprune has exported.

    """
    for name, value in {"batch_size": batch_size, "repeats": repeats, "threads": threads}.items():
        if value is not None and value < 1:
            raise UsageError(f"--{name} must be at least 1, not {value}.")
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: there is no CUDA GPU.")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if threads:
        torch.set_num_threads(threads)
    setting = Setting(device, DTYPES[dtype], compile)
    paths = resolve(folders)
    names = short_names(paths)
    found = [one for path in paths for one in contenders_of(path, names[path], setting)]
    dense = load_stock(Path(base)) if base else dense_of(paths[0])
    found.insert(0, contender("dense", dense, setting, None))
    speeds = race(found, batch_size, repeats, device)
    conditions = {"batch_size": batch_size, "repeats": repeats, **describe_machine(setting)}
    print_speeds(speeds, conditions)
    if target := save(speeds, conditions, names, Path(output) if output else None):
        print(f"benchmark.csv and benchmark.png are in {target}")


def compare(folders: list[str], output: str | None = None) -> None:
    """Compare finished runs and sweeps in one table and one figure.

    Args:
        folders: Folders of runs (lightning_logs/version_N) and of sweeps; others are skipped.
        output: Folder of compare.csv and compare.png; by default `compare` beside the first folder.

    """
    compare_runs.run(folders, output)


def report(folders: list[str], output: str | None = None, images: int = 1000) -> None:
    """Write a self-contained HTML page about each finished run.

    Args:
        folders: Folders of runs (lightning_logs/version_N).
        output: File of the page of a single run; by default report.html in the folder of each run.
        images: Number of validation images to classify with the dense and the pruned model, to find
            what only the pruned one confuses; 0 leaves that out.

    """
    run_report.run(folders, output, images)


COMMANDS: dict[str, Callable[..., None]] = {
    "benchmark": benchmark,
    "compare": compare,
    "report": report,
}


def run(name: str, arguments: list[str]) -> None:
    """Run one of `COMMANDS`.

    Raises:
        UsageError: If an argument is unknown or has an impossible value.

    """
    command = COMMANDS[name]
    options = [option for option in inspect.signature(command).parameters if option != "folders"]
    parser = ArgumentParser(
        prog=f"vitprune {name}",
        description=_purpose(command),
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("folders", nargs="+", type=str, help="Folders that vitprune has written.")
    parser.add_function_arguments(command, skip={"folders"})
    try:
        settings = parser.parse_args(arguments)
    except ArgumentError as error:
        reason = explain(str(error)).split(". Valid are ")[0]
        raise UsageError(
            f"{name}: {reason}. It takes folders and --{', --'.join(options)}."
        ) from error
    command(**settings.as_dict())


def _purpose(command: Callable[..., None]) -> str:
    return (inspect.getdoc(command) or "").splitlines()[0]
