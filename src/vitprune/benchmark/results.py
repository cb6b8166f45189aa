"""Results of a benchmark: a table, `benchmark.csv`, `benchmark.png`, an entry in `report.json`."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

from rich.table import Table

from vitprune.figures.saving import save_figure
from vitprune.figures.speedups import plot_speedups
from vitprune.figures.tables import print_table
from vitprune.runs.atomic import replacing
from vitprune.runs.benchmark_report import BenchmarkReport, Conditions, Speed
from vitprune.runs.report import RunReport
from vitprune.runs.run_folder import ExportFolder

CSV = "benchmark.csv"
FIGURE = "benchmark.png"
COLUMNS = (
    "latency ms (batch 1)",
    "images/s",
    "speed-up (images/s)",
    "by FLOPs",
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


def save(speeds: Sequence[Speed], folder: Path) -> None:
    """Write the table and the figure to a folder."""
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
