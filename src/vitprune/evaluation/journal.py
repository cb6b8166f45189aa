"""What was measured so far, on disk after every measurement, so that an interrupted one goes on where it stopped."""

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vitprune.errors import UsageError

SETTINGS = "settings.json"


@dataclass(frozen=True)
class Entry:
    """One measurement on one chunk of the images.

    Attributes:
        key: What was measured.
        chunk: Number of the chunk, from 0.
        images: Images in it.
        correct: How many of them were classified right.
        loss: Sum of their cross-entropies.
        sparsity: Share of the pruned weights that was zero, in [0, 1].

    """

    key: str
    chunk: int
    images: int
    correct: int
    loss: float
    sparsity: float


class Journal:
    """Append entries to `progress-<rank>.jsonl` in a folder; read those of every rank.

    Args:
        folder: Where the results will be.
        rank: This process.

    """

    def __init__(self, folder: Path, rank: int = 0) -> None:
        self.folder, self.rank, self.path = folder, rank, folder / f"progress-{rank}.jsonl"

    def open(self, settings: dict[str, Any]) -> None:
        """Begin, or go on if the folder was begun with the same settings.

        Raises:
            UsageError: If it was begun with others; the message names the first that differs.

        """
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = json.loads(json.dumps(settings))
        begun = read_settings(self.folder)
        if begun is not None and begun != settings:
            name = next(key for key in {**settings, **begun} if settings.get(key) != begun.get(key))
            raise UsageError(
                f"{self.folder} holds results of another setting: {name} is {begun.get(name)} "
                f"there and {settings.get(name)} now. Give another --output, or delete that folder."
            )
        if begun is None and self.rank == 0:
            self._begin(settings)
        if self.path.exists() and not self.path.read_text().endswith("\n"):
            self.path.write_text(
                self.path.read_text() + "\n"
            )  # the next entry must not join a torn line

    def _begin(self, settings: dict[str, Any]) -> None:
        """Write the settings beside their file first: the other ranks may read it meanwhile."""
        path = self.folder / SETTINGS
        scratch = path.with_name(f".{SETTINGS}.partial")
        scratch.write_text(json.dumps(settings, indent=2) + "\n")
        os.replace(scratch, path)

    def add(self, entry: Entry) -> None:
        """Append an entry."""
        with self.path.open("a") as file:
            file.write(json.dumps(asdict(entry)) + "\n")

    def read(self) -> dict[tuple[str, int], Entry]:
        """Return the entries of all ranks by key and chunk; a line that was torn by an interruption is left out."""
        entries = {}
        for path in sorted(self.folder.glob("progress-*.jsonl")):
            for line in path.read_text().splitlines():
                with suppress(ValueError, TypeError):
                    entry = Entry(**json.loads(line))
                    entries[entry.key, entry.chunk] = entry
        return entries


def read_settings(folder: Path) -> dict[str, Any] | None:
    """Return the settings that a folder of results was begun with; None if it was not."""
    path = folder / SETTINGS
    return json.loads(path.read_text()) if path.is_file() else None
