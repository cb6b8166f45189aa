"""Figures as files."""

from pathlib import Path

from matplotlib.figure import Figure

from vitprune.runs.atomic import replacing


def save_figure(figure: Figure, path: Path) -> None:
    """Save a figure as PNG, whole or not at all."""
    with replacing(path) as scratch:
        figure.savefig(scratch, format="png", dpi=150)
