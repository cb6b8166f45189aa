"""The commands that take folders: they need no configuration, so they are dispatched before LightningCLI."""

import inspect
from collections.abc import Callable
from pathlib import Path

from jsonargparse import ArgumentError, ArgumentParser
from rich.table import Table

from vitprune.benchmark.run import Device, choose_setting
from vitprune.benchmark.run import run as run_benchmark
from vitprune.cli.errors import explain
from vitprune.errors import UsageError
from vitprune.evaluation.measuring import show
from vitprune.evaluation.tables import print_table
from vitprune.export.choices import DType
from vitprune.reports import compare as comparison
from vitprune.reports.report import write_report
from vitprune.runs.names import resolve, short_names


def benchmark(  # noqa: PLR0913 - each argument is an option
    folders: list[str],
    base: str | None = None,
    batch_size: int = 16,
    repeats: int = 10,
    threads: int | None = None,
    device: Device = "auto",
    dtype: DType = "float32",
    compile: bool = False,  # noqa: FBT001, FBT002 - an option
    output: str | None = None,
) -> None:
    """Measure latency and throughput of exports against the dense model.

    Args:
        folders: Exports; each is measured as plain transformers loads it and in its other formats.
        base: Folder of the dense model; by default the architecture of the first export before
            pruning.
        batch_size: Batch size for throughput; latency is measured at batch size 1.
        repeats: Number of rounds after the warm-up, in each of which every model runs once.
        threads: Number of threads of torch and ONNX Runtime; by default that of torch.
        device: Device to measure on; auto is a GPU if there is one.
        dtype: Type to compute in.
        compile: Use torch.compile.
        output: Folder for benchmark.csv and benchmark.png; by default the first export of vitprune.

    """
    run_benchmark(
        folders,
        choose_setting(device, dtype, compile=compile, threads=threads),
        base=base,
        batch_size=batch_size,
        repeats=repeats,
        output=output,
    )


def compare(folders: list[str], output: str | None = None) -> None:
    """Put finished runs, and sweeps, into one table and one figure.

    Args:
        folders: Of runs (lightning_logs/version_N) and of sweeps; others are left out.
        output: Folder for compare.csv and compare.png; by default `compare` beside the first
            folder.

    """
    paths = resolve(folders)
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
    if images < 0 or (output and len(folders) > 1):
        raise UsageError("report: --images must not be negative, and --output is for a single run.")
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
