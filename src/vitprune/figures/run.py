"""The figures in the folder of an export."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from vitprune.figures.plots import plot_density, plot_training
from vitprune.runs.metrics import read_metrics
from vitprune.runs.run_folder import RunFolder


def draw(report: dict[str, Any], folder: Path, run_folder: Path | None) -> list[str]:
    """Save the figures of a report; return their paths relative to the export."""
    folder.mkdir()
    figures = figures_of(report, run_folder)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=150)
    return [f"plots/{name}.png" for name in figures]


def figures_of(report: dict[str, Any], run_folder: Path | None) -> dict[str, Figure]:
    """Return the `training` of a run, if it has epochs yet, and the `density` of a model that was pruned."""
    training = _training(run_folder, report) if run_folder else None
    density = plot_density(layers) if (layers := report["sparsity"]["layers"]) else None
    return {
        name: figure for name, figure in (("training", training), ("density", density)) if figure
    }


def _training(run_folder: Path, report: dict[str, Any]) -> Figure | None:
    """Draw accuracy and sparsity over the epochs of a run from its `metrics.csv`; None if that has no epochs yet."""
    curves = read_metrics(RunFolder(run_folder))
    if "epoch" not in curves:
        return None
    accuracies = any(
        done["accuracy_pruned"] is not None for done in report["rounds"]
    )  # and no other metric
    steps_per_epoch = (max(curves["epoch"]) + 1) / (max(curves["epoch"].values()) + 1)
    return plot_training(
        {step + 1: value for step, value in curves.get("val/accuracy", {}).items()},
        curves.get("sparsity/prunable", {}),
        curves.get("round/after_pruning", {}) if accuracies else {},
        steps_per_epoch,
        report["base"]["accuracy"],
    )
