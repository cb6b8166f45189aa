"""Results, one line a training, that several processes may add to and that an interrupted study goes on from."""

import csv
import fcntl
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

RESULTS = Path("lightning_logs/study")  # where they go, and are looked for, if nothing else is said
KEY = ("row", "sparsity", "learning_rate", "seed")  # of a training
COLUMNS = {
    "trained": (*KEY, "images_seen", "seconds", "reached", "parameters", "chosen", "code"),
    "scored": (*KEY, "scored"),
}


def revision() -> str:
    """Return the commit of the code that is running, with a `+` if it was changed since; nothing outside of a checkout."""
    if not shutil.which("git"):
        return ""
    folder = Path(__file__).parents[2]
    code = [str(folder / name) for name in ("src", "scripts/study", "constraints.txt")]
    commit, changes = (
        subprocess.run(
            ["git", "-C", str(folder), *command, "--", *code], capture_output=True, text=True
        ).stdout.strip()
        for command in (("log", "-1", "--format=%h"), ("status", "--porcelain"))
    )
    return commit + ("+" if changes else "")


class Journal:
    """Two tables in a folder, `trained.csv` and `scored.csv`; in `weights/`, which can be spared, those of every training."""

    def __init__(self, results: Path) -> None:
        self.results = results

    def open(self, budget: dict[str, Any]) -> None:
        """Note the budget that all results are of, or refuse another one."""
        self.results.mkdir(parents=True, exist_ok=True)
        path = self.results / "budget.json"
        with path.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            text = file.read()
            theirs = json.loads(text) if text else budget
            others = [name for name in budget if theirs.get(name) != budget[name]]
            if others:
                differ = ", ".join(
                    f"{name} {theirs.get(name)} and not {budget[name]}" for name in others
                )
                raise SystemExit(
                    f"the results in {self.results} are of {differ}: take another --results."
                )
            if not text:
                json.dump(budget, file, indent=1)

    def read(self, table: str) -> list[dict[str, str]]:
        """Return the lines of a table."""
        path = self.results / f"{table}.csv"
        return list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []

    def find(self, table: str, key: tuple) -> dict[str, str] | None:
        """Return the line of a training, if it is there."""
        wanted = tuple(map(str, key))
        return next(
            (line for line in self.read(table) if tuple(line[name] for name in KEY) == wanted), None
        )

    def best_rate(self, row: str, sparsity: float) -> float | None:
        """Return the learning rate that was chosen, the best of those that were tried; None before the first."""
        of_row = (str(row), str(sparsity), "0")
        lines = [
            line
            for line in self.read("trained")
            if (line["row"], line["sparsity"], line["seed"]) == of_row
        ]
        return (
            float(max(lines, key=lambda line: float(line["chosen"]))["learning_rate"])
            if lines
            else None
        )

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
        return self._file("weights", key, "safetensors")

    def _file(self, folder: str, key: tuple, suffix: str) -> Path:
        (self.results / folder).mkdir(parents=True, exist_ok=True)
        name = "_".join(str(part).replace(" ", "-").replace(",", "") for part in key)
        return self.results / folder / f"{name}.{suffix}"

    def keep_weights(self, key: tuple, weights: dict[str, Tensor]) -> None:
        """Write the weights of a training, whole or not at all."""
        path = self.weights_of(key)
        save_file(weights, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    @contextmanager
    def claim(self, key: tuple) -> Iterator[bool]:
        """Tell whether no other process is at this training; it is this one's until the block ends."""
        with self._file("locks", key, "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
