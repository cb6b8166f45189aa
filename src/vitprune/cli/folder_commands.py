"""The commands that take folders: they need no configuration, so they are dispatched before LightningCLI."""

import inspect
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Literal

import torch
from jsonargparse import ArgumentError, ArgumentParser
from rich.table import Table

from vitprune.benchmark.candidates import Setting, contender, contenders_of, dense_of
from vitprune.benchmark.results import print_speeds, save
from vitprune.benchmark.speed import describe_machine, race
from vitprune.cli.errors import explain
from vitprune.cli.options import Options, parameters
from vitprune.errors import UsageError
from vitprune.evaluation.measuring import show
from vitprune.evaluation.tables import print_table
from vitprune.export.formats import DTYPES
from vitprune.export.load import load_stock
from vitprune.reports import compare as comparison
from vitprune.reports.report import write_report


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
    paths = _resolve(folders)
    names = short_names(paths)
    found = [one for path in paths for one in contenders_of(path, names[path], setting)]
    dense = load_stock(Path(base)) if base else dense_of(paths[0])
    found.insert(0, contender("dense", dense, setting, None))
    speeds = race(found, batch_size, repeats, device)
    conditions = {"batch_size": batch_size, "repeats": repeats, **describe_machine(setting)}
    print_speeds(speeds, conditions)
    if target := save(speeds, conditions, names, Path(output) if output else None):
        print(f"benchmark.csv and benchmark.png are in {target}")


def _resolve(folders: list[str]) -> list[Path]:
    """Return the folders of a command line, each once."""
    return list(dict.fromkeys(Path(folder).expanduser().resolve() for folder in folders))


def short_names(folders: Collection[Path]) -> dict[Path, str]:
    """Return a name for each folder: the end of its path, just long enough to tell it from the others."""
    endings = {
        folder: [str(Path(*folder.parts[-n:])) for n in range(1, len(folder.parts) + 1)]
        for folder in folders
    }
    used = Counter(ending for several in endings.values() for ending in several)
    return {
        folder: next(ending for ending in several if used[ending] == 1)
        for folder, several in endings.items()
    }


def compare(folders: list[str], output: str | None = None) -> None:
    """Put finished runs, and sweeps, into one table and one figure.

    Args:
        folders: Of runs (lightning_logs/version_N) and of sweeps; others are left out.
        output: Folder for compare.csv and compare.png; by default `compare` beside the first
            folder.

    """
    paths = _resolve(folders)
    rows = _read_what_can_be(paths)
    print_table(_table(rows))
    for difference in comparison.differences(rows):
        print(f"not a fair comparison: {difference}.")
    target = Path(output) if output else paths[0].parent / "compare"
    show(target, "compare", {"compare": comparison.save(rows, target)})


NUMBERS = (
    "images seen",
    "sparsity",
    "of all",
    "accuracy dense",
    "just pruned",
    "in the end",
    "GFLOPs",
    "latency ms (batch 1)",
)


def _table(rows: list[comparison.Row]) -> Table:
    table = Table(
        "run",
        "kind",
        caption="sparsity of the prunable and of all weights; accuracy on the validation images",
    )
    for column in NUMBERS:
        table.add_column(column, justify="right")
    for row in rows:
        percentages = (
            row.sparsity,
            row.sparsity_total,
            row.accuracy_dense,
            row.accuracy_pruned,
            row.accuracy,
        )
        cells = [_cell(row.images_seen, "{:,}"), *(_cell(value, "{:.2%}") for value in percentages)]
        gflops = None if row.flops is None else row.flops / 1e9
        table.add_row(
            row.name, row.kind, *cells, _cell(gflops, "{:.3f}"), _cell(row.latency_ms, "{:.2f}")
        )
    return table


def _read_what_can_be(paths: list[Path]) -> list[comparison.Row]:
    """Return what there is to compare, and say what is left out."""
    rows, left_out = [], []
    names = short_names([comparison.run_of(path) for path in paths])
    for path in paths:
        try:
            rows += comparison.read_folder(path, names[comparison.run_of(path)])
        except UsageError as error:
            left_out.append(str(error))
    if not rows:
        needed = (
            f"{comparison.REPORT} and config.yaml) and of sweeps (with {comparison.sweep.RESULT}"
        )
        raise UsageError(
            f"{'; '.join(left_out)}: compare takes folders of finished runs (with {needed})."
        )
    for reason in left_out:
        print(f"left out: {reason}")
    return rows


def report(folders: list[str], output: str | None = None, images: int = 1000) -> None:
    """Write a page of HTML about each finished run, one self-contained file.

    Args:
        folders: Of runs (lightning_logs/version_N).
        output: The file, of a single run; by default report.html in the folder of the run.
        images: Classify about so many validation images with the dense and the pruned model, to
            find what pruning confuses; 0 leaves that out.

    """
    if images < 0:
        raise UsageError(f"--images must be 0 or more, not {images}.")
    if output and len(folders) > 1:
        raise UsageError(
            f"--output names one file, but there are {len(folders)} folders. Without --output, each "
            "report is saved in its folder."
        )
    for folder in folders:
        run = Path(folder).expanduser().resolve()
        target = Path(output) if output else run / "report.html"
        write_report(run, target, images)
        print(f"the report is {target}")


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


COMMANDS: dict[str, Callable[..., None]] = {
    "benchmark": benchmark,
    "compare": compare,
    "report": report,
}


def options_of_command(name: str) -> Options:
    """Return the options of one of `COMMANDS`; its folders are none."""
    options = parameters(COMMANDS[name])
    return {key: options[key] for key in options if key != "folders"}


def run(name: str, arguments: list[str]) -> None:
    """Run one of `COMMANDS`.

    Raises:
        UsageError: If an argument is unknown or has an impossible value.

    """
    command = COMMANDS[name]
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
        raise UsageError(explain(str(error), options_of_command(name))) from error
    command(**settings.as_dict())


def _purpose(command: Callable[..., None]) -> str:
    return (inspect.getdoc(command) or "").splitlines()[0]
