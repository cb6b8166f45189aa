"""A CSV file with a line for each dataclass, to which several processes append."""

import csv
import fcntl
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, get_type_hints

Line = TypeVar("Line")


@dataclass(frozen=True)
class CsvTable(Generic[Line]):
    """A table whose columns are the fields of a dataclass; nested dataclasses are flattened.

    Args:
        path: The CSV file; it need not exist.
        kind: The dataclass of a line.

    """

    path: Path
    kind: type[Line]

    def read(self) -> list[Line]:
        """Return all lines in their order."""
        if not self.path.exists():
            return []
        lines = csv.DictReader(self.path.read_text().splitlines())
        return [_parse(self.kind, cells) for cells in lines]

    def append(self, line: Line) -> None:
        """Append a line, and the head to a new file."""
        cells = _cells(line)
        with self.path.open("a", newline="") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0, 2)  # another process may have appended since the file was opened
            writer = csv.DictWriter(file, cells)
            if file.tell() == 0:
                writer.writeheader()
            writer.writerow(cells)


def _cells(line: Any) -> dict[str, object]:
    found: dict[str, object] = {}
    for field in fields(line):
        value = getattr(line, field.name)
        found |= _cells(value) if is_dataclass(value) else {field.name: value}
    return found


def _parse(kind: Any, cells: dict[str, str]) -> Any:
    types = get_type_hints(kind)
    values = {
        name: _parse(cell, cells) if is_dataclass(cell) else cell(cells[name])
        for name, cell in types.items()
    }
    return kind(**values)
