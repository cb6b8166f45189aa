"""The figures in the folder of an export."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from vitprune.analysis.plots import plot_density, plot_training
from vitprune.training.metrics_csv import read_metrics


def draw(report: dict[str, Any], folder: Path, run_folder: Path | None) -> list[str]:
    """Save the figures of a report; return their paths relative to the export."""
    folder.mkdir()
    figures = {}
    if run_folder and (training := plot_run(run_folder, report["base"]["accuracy"])):
        figures["training"] = training
    if report["sparsity"]["layers"]:
        figures["density"] = plot_density(report["sparsity"]["layers"])
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=150)
    return [f"plots/{name}.png" for name in figures]


def plot_run(run_folder: Path, dense: float | None) -> Figure | None:
    """Draw accuracy and sparsity over the epochs of a run from its `metrics.csv`; None if that has no epochs yet."""
    curves = read_metrics(run_folder)
    if "epoch" not in curves:
        return None
    steps_per_epoch = (max(curves["epoch"]) + 1) / (max(curves["epoch"].values()) + 1)
    return plot_training(
        {step + 1: value for step, value in curves.get("val/accuracy", {}).items()},
        curves.get("sparsity/prunable", {}),
        curves.get("round/after_pruning", {}),
        steps_per_epoch,
        dense,
    )
