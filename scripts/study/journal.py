"""Results, one line a training, that several processes may add to and that an interrupted study goes on from."""

import csv
import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

KEY = ("row", "sparsity", "learning_rate", "seed")  # of a training
COLUMNS = {"trained": (*KEY, "images_seen", "seconds", "reached", "parameters", "chosen"), "scored": (*KEY, "scored")}


class Journal:
    """Two tables in a folder, `trained.csv` and `scored.csv`, and the weights of every training in `weights/`."""

    def __init__(self, results: Path) -> None:
        self.results = results

    def open(self, budget: dict[str, Any]) -> None:
        """Note the budget that all results are of, or refuse another one."""
        self.results.mkdir(parents=True, exist_ok=True)
        path, mine = self.results / "budget.json", json.dumps(budget)
        with path.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            theirs = file.read()
            if theirs not in ("", mine):
                raise SystemExit(f"{path} is of {theirs} and not of {mine}: say the same, or take another --results.")
            if not theirs:
                file.write(mine)

    def read(self, table: str) -> list[dict[str, str]]:
        """Return the lines of a table."""
        path = self.results / f"{table}.csv"
        return list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []

    def find(self, table: str, key: tuple) -> dict[str, str] | None:
        """Return the line of a training, if it is there."""
        wanted = tuple(map(str, key))
        return next((line for line in self.read(table) if tuple(line[name] for name in KEY) == wanted), None)

    def add(self, table: str, values: dict[str, Any]) -> None:
        """Add a line."""
        path = self.results / f"{table}.csv"
        with path.open("a", newline="") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0, 2)  # where another process may have written meanwhile
            writer = csv.DictWriter(file, COLUMNS[table])
            if file.tell() == 0:
                writer.writeheader()
            writer.writerow(values)

    def weights_of(self, key: tuple) -> Path:
        """Return where the weights of a training belong."""
        folder = self.results / "weights"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / ("_".join(str(part).replace(" ", "-").replace(",", "") for part in key) + ".safetensors")

    def keep_weights(self, key: tuple, weights: dict[str, Tensor]) -> None:
        """Write the weights of a training, whole or not at all."""
        path = self.weights_of(key)
        save_file(weights, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    @contextmanager
    def claim(self, key: tuple) -> Iterator[bool]:
        """Tell whether no other process is at this training; it is this one's until the block ends."""
        with self.weights_of(key).with_suffix(".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
