"""Tables of results on the terminal."""

from collections.abc import Iterable, Mapping
from statistics import mean

from rich.console import Console
from rich.table import Table

from vitprune.figures.curves import Curves

FILE_WIDTH = 200  # columns, more than any table needs
NOTICEABLE = 0.005  # deviation from a target sparsity


def print_table(table: Table) -> None:
    """Print a table, at most as wide as the terminal; in a file as wide as it needs to be."""
    console = Console()
    if not console.is_terminal:
        console.width = FILE_WIDTH
    console.print(table)


def accuracy_table(heading: str, curves: Curves, dense: float, caption: str) -> Table:
    """Return a table of accuracies, a row for each curve and a column for each sparsity.

    Args:
        heading: Heading of the first column.
        curves: Accuracies in [0, 1], whose mean is shown; every curve has the same sparsities.
        dense: Accuracy of the dense model, in [0, 1].
        caption: Further remarks.

    """
    sparsities = sorted(next(iter(curves.values())))
    table = Table(
        heading, caption=f"validation accuracy (%) by sparsity; dense {100 * dense:.1f}; {caption}"
    )
    for sparsity in sparsities:
        table.add_column(f"{100 * sparsity:.3g} %", justify="right")
    for name, curve in curves.items():
        table.add_row(name, *(f"{100 * mean(curve[sparsity]):.1f}" for sparsity in sparsities))
    return table


def deviation(reached: Iterable[Mapping[float, float]]) -> str:
    """Return a remark on how far the reached sparsities are from their targets; empty if close.

    Args:
        reached: For each curve, the reached sparsity by target, in [0, 1].

    """
    largest = max(abs(value - target) for curve in reached for target, value in curve.items())
    if largest < NOTICEABLE:
        return ""
    return f"; reached sparsities differ from their targets by up to {100 * largest:.0f} points"
