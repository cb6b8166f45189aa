"""Measurements on disk, one line each, so that an interrupted scan can be resumed."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from vitprune.errors import UsageError
from vitprune.evaluation.settings import Settings, first_difference
from vitprune.runs.typed_json import read_json, write_json
from vitprune.runs.write_errors import naming

SETTINGS = "settings.json"


@dataclass(frozen=True)
class Entry:
    """One measurement on one chunk of the images.

    Attributes:
        key: Key of the measurement.
        chunk: Number of the chunk, from 0.
        images: Number of images in the chunk.
        correct: Number of correctly classified images.
        loss: Sum of the cross-entropies.
        sparsity: Sparsity of the pruned layers, in [0, 1].

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
        folder: Folder of the results.
        rank: Rank of this process.

    """

    def __init__(self, folder: Path, rank: int = 0) -> None:
        self.folder = folder
        self.rank = rank
        self.path = folder / f"progress-{rank}.jsonl"

    def open(self, settings: Settings) -> None:
        """Start a journal, or resume the one in the folder if it has the same settings.

        Raises:
            UsageError: If its settings differ; the message names the first difference.

        """
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = json.loads(json.dumps(settings))
        old = read_settings(self.folder)
        if old is None:
            if self.rank == 0:
                write_json(self.folder / SETTINGS, settings)
        elif name := first_difference(old, settings):
            raise UsageError(
                f"{self.folder} holds results of other settings: {name} is {old.get(name)} there "
                f"and {settings.get(name)} now. Choose another --output, or delete that folder."
            )
        self._end_torn_line()

    def _end_torn_line(self) -> None:
        """End the line that an interruption has torn, so that the next entry is a line."""
        if self.path.exists() and not self.path.read_text().endswith("\n"):
            with self.path.open("a") as file:
                file.write("\n")

    def add(self, entry: Entry) -> None:
        """Append an entry."""
        with naming(self.path, "earlier measurements are kept"), self.path.open("a") as file:
            file.write(json.dumps(asdict(entry)) + "\n")

    def read(self) -> dict[tuple[str, int], Entry]:
        """Return the entries of all ranks by key and chunk; torn lines are skipped."""
        entries = {}
        for path in sorted(self.folder.glob("progress-*.jsonl")):
            for line in path.read_text().splitlines():
                with suppress(ValueError, TypeError):
                    entry = Entry(**json.loads(line))
                    entries[entry.key, entry.chunk] = entry
        return entries


def read_settings(folder: Path) -> Settings | None:
    """Return the settings of the results in a folder; None if there are none.

    Raises:
        UsageError: If the file is damaged.

    """
    path = folder / SETTINGS
    return read_json(path, dict) if path.is_file() else None
