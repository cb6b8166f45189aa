"""What a benchmark leaves behind: a table, `benchmark.csv`, `benchmark.png`, and an entry in `report.json`."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from vitprune.benchmark.speed import Speed
from vitprune.evaluation.tables import print_table
from vitprune.figures.speedups import plot_speedups

REPORT = "report.json"


def print_speeds(speeds: Sequence[Speed], conditions: dict[str, Any]) -> None:
    """Print the results, medians with the distance between the quartiles."""
    table = Table(caption=", ".join(f"{name} {value}" for name, value in conditions.items()))
    columns = (
        "",
        "latency ms (batch 1)",
        "images/s",
        "speed-up (images/s)",
        "by FLOPs",
        "GFLOPs",
        "M params",
        "MB",
    )
    for column in columns:
        table.add_column(column, justify="left" if column == "" else "right")
    for speed in speeds:
        table.add_row(
            speed.name,
            f"{speed.latency_ms:.2f} ± {speed.latency_spread_ms:.2f}",
            f"{speed.images_per_s:.1f} ± {speed.images_per_s_spread:.1f}",
            f"{speed.measured_speedup:.2f}",
            f"{speed.theoretical_speedup:.2f}",
            f"{speed.flops / 1e9:.3f}",
            f"{speed.parameters / 1e6:.2f}",
            "-" if speed.bytes is None else f"{speed.bytes / 1e6:.1f}",
        )
    print_table(table)


def save(
    speeds: Sequence[Speed],
    conditions: dict[str, Any],
    names: Mapping[Path, str],
    output: Path | None,
) -> Path | None:
    """Save the results.

    Args:
        speeds: Of all models.
        conditions: How they were measured.
        names: What each folder is called among the models. Those that vitprune has exported get the
            results into their report, under `benchmark`, and in `export` there which of the models
            they are.
        output: For `benchmark.csv` and `benchmark.png`; the first such folder if None.

    Returns:
        The folder of the files; None if there is none to put them in.

    """
    exports = [folder for folder in names if (folder / REPORT).is_file()]
    for folder in exports:
        report = json.loads((folder / REPORT).read_text())
        report["benchmark"] = {
            "export": names[folder],
            **conditions,
            "models": [vars(speed) for speed in speeds],
        }
        (folder / REPORT).write_text(json.dumps(report, indent=2) + "\n")
    target = output or next(iter(exports), None)
    if target is None:
        return None
    target.mkdir(parents=True, exist_ok=True)
    with (target / "benchmark.csv").open("w", newline="") as file:
        rows = csv.DictWriter(file, vars(speeds[0]).keys())
        rows.writeheader()
        rows.writerows(vars(speed) for speed in speeds)
    figure = plot_speedups(
        [speed.name for speed in speeds],
        [speed.theoretical_speedup for speed in speeds],
        [speed.measured_speedup for speed in speeds],
    )
    figure.savefig(target / "benchmark.png", dpi=150)
    return target
