"""Tables of results on the terminal."""

from collections.abc import Iterable, Mapping
from statistics import mean

from rich.console import Console
from rich.table import Table

from vitprune.figures.curves import Curves

FILE_WIDTH = 200  # columns, more than any table needs
LINED = 3  # columns beside the text of each column of a table
NOTICEABLE = 0.005  # deviation from a target sparsity


def print_table(table: Table) -> None:
    """Print a table, to a file at its full width, to a terminal at the width of the terminal.

    In a narrow terminal, the lines between columns are left out. Words and numbers are never
    truncated, even if the terminal has to wrap lines.
    """
    console = Console()
    if not console.is_terminal:
        console.width = FILE_WIDTH
    words = [
        max(len(word) for text in (column.header, *column.cells) for word in _words(text))
        for column in table.columns
    ]
    if sum(words) + LINED * len(words) + 1 > console.width:
        table.box = None
        console.width = max(console.width, FILE_WIDTH)
        for column, width in zip(table.columns, words, strict=True):
            column.width = width
    console.print(table)


def _words(text: object) -> list[str]:
    return str(text).split() or [""]


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
