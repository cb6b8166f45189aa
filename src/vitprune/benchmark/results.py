"""Results of a benchmark: a table, files, and an entry in `report.json`."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

from rich.table import Table

from vitprune.figures.pareto import Tradeoff, plot_pareto
from vitprune.figures.saving import save_figure
from vitprune.figures.speedups import plot_speedups
from vitprune.figures.tables import print_table
from vitprune.runs.atomic import replacing
from vitprune.runs.benchmark_report import Benchmark, BenchmarkReport, Conditions, Speed
from vitprune.runs.report import RunReport
from vitprune.runs.run_folder import ExportFolder
from vitprune.runs.typed_json import write_json

CSV = "benchmark.csv"
JSON = "benchmark.json"
FIGURE = "benchmark.png"
PARETO = "pareto.png"
COLUMNS = (
    "latency ms (batch 1)",
    "images/s",
    "speed-up (images/s)",
    "by FLOPs",
    "accuracy %",
    "GFLOPs",
    "M params",
    "MB",
)


def print_speeds(speeds: Sequence[Speed], conditions: Conditions) -> None:
    """Print a table of medians with the distance between the quartiles."""
    facts = asdict(conditions).items()
    table = Table("", caption=", ".join(f"{name} {value}" for name, value in facts))
    for column in COLUMNS:
        table.add_column(column, justify="right")
    for speed in speeds:
        table.add_row(*_cells(speed))
    print_table(table)


def _cells(speed: Speed) -> tuple[str, ...]:
    return (
        speed.name,
        f"{speed.latency_ms:.2f} ± {speed.latency_spread_ms:.2f}",
        f"{speed.images_per_s:.1f} ± {speed.images_per_s_spread:.1f}",
        f"{speed.measured_speedup:.2f}",
        f"{speed.theoretical_speedup:.2f}",
        "-" if speed.accuracy is None else f"{100 * speed.accuracy:.2f}",
        f"{speed.flops / 1e9:.3f}",
        f"{speed.parameters / 1e6:.2f}",
        "-" if speed.bytes is None else f"{speed.bytes / 1e6:.1f}",
    )


def add_to_reports(
    speeds: list[Speed], conditions: Conditions, names: Mapping[ExportFolder, str]
) -> None:
    """Write the result into the report of each export.

    Args:
        speeds: Speed of every model.
        conditions: How they were measured.
        names: Name of each export among the models.

    """
    for folder, name in names.items():
        result = BenchmarkReport(**asdict(conditions), export=name, models=speeds)
        replace(RunReport.read(folder.report), benchmark=result).write(folder.report)


def save(speeds: list[Speed], conditions: Conditions, folder: Path) -> list[str]:
    """Write the results and the figures to a folder; return the names of the files.

    Accuracy against latency is drawn if the accuracy of a model is known.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / CSV) as scratch, scratch.open("w", newline="") as file:
        rows = csv.DictWriter(file, [field.name for field in fields(Speed)])
        rows.writeheader()
        rows.writerows(asdict(speed) for speed in speeds)
    figure = plot_speedups(
        [speed.name for speed in speeds],
        [speed.theoretical_speedup for speed in speeds],
        [speed.measured_speedup for speed in speeds],
    )
    save_figure(figure, folder / FIGURE)
    write_json(folder / JSON, Benchmark(**asdict(conditions), models=speeds))
    known = [
        Tradeoff(speed.name, speed.latency_ms, speed.accuracy, speed.bytes / 1e6)
        for speed in speeds
        if speed.accuracy is not None and speed.bytes is not None
    ]
    if known:
        save_figure(plot_pareto(known), folder / PARETO)
    return [CSV, JSON, FIGURE, *([PARETO] if known else [])]
