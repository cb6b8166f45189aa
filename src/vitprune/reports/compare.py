"""Finished runs side by side: what they cost, and what they reach at which sparsity, FLOPs and latency."""

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import yaml
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitprune.errors import UsageError
from vitprune.evaluation import sweep
from vitprune.figures.curves import LINES, MARKERS
from vitprune.runs.metrics import read_metrics
from vitprune.runs.run_folder import RunFolder

REPORT = Path("export") / "report.json"
AXES = {
    "sparsity": (100, "sparsity (%)"),
    "flops": (1e-9, "GFLOPs of an image"),
    "latency_ms": (1, "latency (ms)"),
}


@dataclass(frozen=True)
class Row:
    """A model and how it came about.

    Attributes:
        name: Of the run; of a method in a sweep, with the run's before it.
        kind: `dense`, `no fine-tuning`, `one-shot` or `iterative`.
        images_seen: Training images that the run used, counted as often as it used them; None if it
            did not say.
        data: The validation images it was scored on: source, and their number if that was limited.
        sparsity: Of the prunable weights.
        sparsity_total: Of all parameters.
        accuracy_dense: Before pruning.
        accuracy_pruned: Just after pruning, before any fine-tuning; None if there was more than one
            round.
        accuracy: In the end.
        flops: Of one image.
        latency_ms: Of a batch of one, where `benchmark` has measured it.

    """

    name: str
    kind: str
    images_seen: int | None
    data: str
    sparsity: float
    sparsity_total: float | None
    accuracy_dense: float | None
    accuracy_pruned: float | None
    accuracy: float
    flops: int | None
    latency_ms: float | None


def run_of(folder: Path) -> Path:
    """Return the folder of the run that a folder is of: itself, or the one around that of a sweep."""
    return folder.parent if folder.name == "sweep" else folder


def read_folder(folder: Path, name: str) -> list[Row]:
    """Return the result of a run, the points of a sweep, or those of a run and of the sweep in its
    folder.

    Args:
        folder: Of the run or the sweep.
        name: What to call the run.

    Raises:
        UsageError: If the folder is neither; the message says which file is missing.

    """
    swept = [
        path for path in (folder / sweep.RESULT, folder / "sweep" / sweep.RESULT) if path.is_file()
    ]
    rows = [row for path in swept for row in _read_sweep(json.loads(path.read_text()), name)]
    missing = [name for name in (REPORT, Path("config.yaml")) if not (folder / name).is_file()]
    if missing and not rows:
        raise UsageError(f"{folder} is no finished run and no sweep (it has no {missing[0]})")
    return rows if missing else [_read_run(folder, name), *rows]


def _read_run(folder: Path, name: str) -> Row:
    report, config = (
        json.loads((folder / REPORT).read_text()),
        yaml.safe_load((folder / "config.yaml").read_text()),
    )
    rounds, seen = report["rounds"], read_metrics(RunFolder(folder)).get("throughput/images_seen")
    return Row(
        name=name,
        kind="iterative" if len(rounds) > 1 else "one-shot" if rounds else "dense",
        images_seen=int(max(seen.values())) if seen else None,
        data=_data(config["data"], report["pruned"].get("images")),
        sparsity=report["sparsity"]["prunable"],
        sparsity_total=report["sparsity"]["total"],
        accuracy_dense=report["base"]["accuracy"],
        accuracy_pruned=rounds[0]["accuracy_pruned"] if len(rounds) == 1 else None,
        accuracy=report["pruned"]["accuracy"],
        flops=report["pruned"]["flops"],
        latency_ms=_latency(report.get("benchmark") or {}),
    )


def _read_sweep(result: dict[str, Any], run: str) -> list[Row]:
    return [
        Row(
            name=f"{run}/{method}",
            kind="no fine-tuning",
            images_seen=0,
            data=_data(result["settings"]["data"], result["images"]),
            sparsity=curves["reached"][sparsity],
            sparsity_total=None,
            accuracy_dense=result["dense"],
            accuracy_pruned=sum(accuracies) / len(accuracies),
            accuracy=sum(accuracies) / len(accuracies),
            flops=None,
            latency_ms=None,
        )
        for method, curves in result["methods"].items()
        for sparsity, accuracies in curves["accuracy"].items()
    ]


def _data(data: dict[str, Any], images: int | None) -> str:
    """Describe what was scored on; earlier reports do not say on how many images."""
    subset = data.get("subset")
    return f"{Path(data['source']).name}{f' {subset}' if subset else ''}{f', {images} images' if images else ''}"


def _latency(benchmark: dict[str, Any]) -> float | None:
    """Return what `benchmark` measured for the export that its results are in the report of."""
    return next(
        (
            m["latency_ms"]
            for m in benchmark.get("models", [])
            if m["name"] == benchmark.get("export")
        ),
        None,
    )


def differences(rows: Sequence[Row]) -> list[str]:
    """Return a sentence for each thing that makes these rows no fair comparison."""
    budgets = {row.images_seen for row in rows if row.kind in ("dense", "one-shot", "iterative")}
    scored = {row.data for row in rows}
    unequal = (
        [f"they were fine-tuned on unequal budgets: {_several(budgets)} images seen"]
        if len(budgets) > 1
        else []
    )
    return unequal + (
        [f"they were scored on different images: {_several(scored)}"] if len(scored) > 1 else []
    )


def _several(values: set[Any]) -> str:
    return ", ".join(sorted("unknown" if value is None else str(value) for value in values))


def save(rows: Sequence[Row], folder: Path) -> Figure:
    """Write `compare.csv` and `compare.png` into a folder; return the figure."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "compare.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    figure = plot_comparison(rows)
    figure.savefig(folder / "compare.png", dpi=150)
    return figure


def plot_comparison(rows: Sequence[Row]) -> Figure:
    """Draw accuracy against sparsity, and against FLOPs and latency where several are known."""
    shown = [
        axis
        for axis in AXES
        if axis == "sparsity" or len({getattr(row, axis) for row in rows} - {None}) > 1
    ]
    figure = Figure(figsize=(max(7.5, 4.2 * len(shown)), 4.6), layout="constrained")
    grid = figure.subplots(1, len(shown), squeeze=False, sharey=True)[0]
    dense = {row.accuracy_dense for row in rows if row.accuracy_dense is not None}
    for axes, axis in zip(grid, shown, strict=True):
        for number, accuracy in enumerate(sorted(dense)):
            label = f"dense, {100 * accuracy:.1f} %"
            axes.axhline(
                100 * accuracy, color="0.6", linewidth=1, linestyle=LINES[number % 4], label=label
            )
        _draw(axes, rows, axis)
        axes.set_xlim(left=0)
        axes.set_xlabel(AXES[axis][1])
        axes.grid(alpha=0.3)
    grid[0].set_ylabel("validation accuracy (%)")
    handles = {
        text: handle
        for axes in grid
        for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(),
        handles,
        loc="outside upper center",
        ncols=2,
        frameon=False,
        fontsize="small",
    )
    return figure


def _draw(axes: Axes, rows: Sequence[Row], axis: str) -> None:
    """Draw sweeps as lines, runs as filled points, and what they were just after pruning as hollow ones."""
    factor = AXES[axis][0]
    names = list(dict.fromkeys((row.name, row.kind) for row in rows))
    for number, (name, kind) in enumerate(names):
        mine = [
            row
            for row in rows
            if (row.name, row.kind) == (name, kind) and getattr(row, axis) is not None
        ]
        x, marker = [factor * getattr(row, axis) for row in mine], MARKERS[number % len(MARKERS)]
        sweeping = kind == "no fine-tuning"
        line, color = (LINES[number % 4], "0.45") if sweeping else ("", "black")
        size = 3.5 if sweeping else 8
        axes.plot(
            x,
            [100 * row.accuracy for row in mine],
            marker=marker,
            markersize=size,
            linestyle=line,
            color=color,
            label=f"{name}: {kind}",
        )
        before = [
            (factor * getattr(row, axis), 100 * row.accuracy_pruned)
            for row in mine
            if row.accuracy_pruned is not None
        ]
        if before and not sweeping:
            x, y = map(list, zip(*before, strict=True))
            label = f"{name}: just after pruning"
            axes.plot(
                x,
                y,
                marker=marker,
                markersize=8,
                markerfacecolor="none",
                color="black",
                linestyle="",
                label=label,
            )
