"""Compare runs and sweeps: one table, one file and one figure."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from matplotlib.figure import Figure
from rich.table import Table

from vitprune.evaluation.results_folder import publish
from vitprune.figures.comparison import ComparedModel, plot_comparison
from vitprune.figures.saving import save_figure
from vitprune.figures.tables import print_table
from vitprune.reports.results import read_all
from vitprune.runs.atomic import replacing
from vitprune.runs.names import resolve

NAME = "compare"
COLUMNS = (
    "images seen",
    "sparsity",
    "total sparsity",
    "dense accuracy",
    "just after pruning",
    "final accuracy",
    "GFLOPs",
    "latency ms (batch 1)",
)


def run(folders: Sequence[str], output: str | None) -> None:
    """Print a table of runs and sweeps, and save it with a figure.

    Args:
        folders: Folders of runs and sweeps.
        output: Folder of the results; None for `compare` beside the first folder.

    Raises:
        UsageError: If no folder has a result.

    """
    paths = resolve(folders)
    models = read_all(paths)
    print_table(table(models))
    for difference in differences(models):
        print(f"Warning: {difference}")
    target = Path(output) if output else paths[0].parent / NAME
    publish(target, NAME, {NAME: save(models, target)})


def table(models: Sequence[ComparedModel]) -> Table:
    """Return a table of models, a row for each."""
    rows = Table(
        "run",
        "kind",
        caption="sparsity of the prunable weights and of all parameters; accuracy on the "
        "validation images",
    )
    for column in COLUMNS:
        rows.add_column(column, justify="right")
    for model in models:
        rows.add_row(
            model.name,
            model.kind,
            _cell(model.images_seen, "{:,}"),
            _cell(model.sparsity, "{:.2%}"),
            _cell(model.sparsity_total, "{:.2%}"),
            _cell(model.accuracy_dense, "{:.2%}"),
            _cell(model.accuracy_pruned, "{:.2%}"),
            _cell(model.accuracy, "{:.2%}"),
            _cell(None if model.flops is None else model.flops / 1e9, "{:.3f}"),
            _cell(model.latency_ms, "{:.2f}"),
        )
    return rows


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def differences(models: Sequence[ComparedModel]) -> list[str]:
    """Return a sentence for each condition that makes the comparison unfair."""
    budgets = {_text(model.images_seen) for model in models if model.was_trained}
    data = {model.data for model in models}
    found = []
    if len(budgets) > 1:
        found.append(f"training budgets differ: {', '.join(sorted(budgets))} images seen")
    if len(data) > 1:
        found.append(f"validation images differ: {', '.join(sorted(data))}")
    return found


def _text(images: int | None) -> str:
    return "unknown" if images is None else str(images)


def save(models: Sequence[ComparedModel], folder: Path) -> Figure:
    """Save `compare.csv` and `compare.png` to a folder; return the figure."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{NAME}.csv"
    with replacing(target) as scratch, scratch.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(ComparedModel)])
        writer.writeheader()
        writer.writerows(asdict(model) for model in models)
    figure = plot_comparison(models)
    save_figure(figure, folder / f"{NAME}.png")
    return figure
