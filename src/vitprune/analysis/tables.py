"""Tables of results in the terminal."""

from rich.console import Console
from rich.table import Table

FILE_WIDTH = 200  # columns, more than any table needs


def print_table(table: Table) -> None:
    """Print a table: as wide as the terminal at most, as wide as it wants to be where the output goes into a file."""
    console = Console()
    if not console.is_terminal:
        console.width = FILE_WIDTH
    console.print(table)
