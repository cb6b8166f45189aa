"""Tables of results."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean

from rich.console import Console
from rich.table import Table

FILE_WIDTH = 200  # columns, more than any table needs


def print_table(table: Table) -> None:
    """Print a table: as wide as the terminal at most, as wide as it wants to be where the output goes into a file."""
    console = Console()
    if not console.is_terminal:
        console.width = FILE_WIDTH
    console.print(table)


def accuracies(
    heading: str, curves: Mapping[str, Mapping[float, Sequence[float]]], dense: float, caption: str
) -> Table:
    """Return a table of accuracies, a line for each curve and a column for each sparsity.

    Args:
        heading: What the lines are.
        curves: By name, the accuracies in [0, 1] at each sparsity, whose mean is shown; every curve
            has the same sparsities.
        dense: Accuracy of the dense model.
        caption: What else is to be said.

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


def deviation(reached: Iterable[Mapping[str, float]]) -> str:
    """Return a remark on how far the sparsities that were reached lie from those asked for, if it
    is half a point or more.

    Args:
        reached: Of each curve, in [0, 1], by the sparsity asked for.

    """
    most = max(abs(value - float(asked)) for curve in reached for asked, value in curve.items())
    return (
        f"; whole groups fall, so what was reached is up to {100 * most:.0f} points off"
        if most >= 0.005
        else ""
    )
