"""The results of one budget in a folder, which several processes extend."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from scripts.study.conditions import Conditions
from scripts.study.csv_table import CsvTable
from scripts.study.lines import Key, Score, Training
from vitprune.runs.run_folder import LOGS

RESULTS = Path(LOGS) / "study"


@dataclass(frozen=True)
class Journal:
    """The files of a budget.

    `budget.json` has the conditions, `trained.csv` and `scored.csv` the results, and `weights/` the
    weights of every training; these can be deleted.

    Args:
        folder: The folder; it need not exist.

    """

    folder: Path

    def open(self, conditions: Conditions) -> None:
        """Create the folder, or check that its results were made under the same conditions.

        Raises:
            SystemExit: If they were not.

        """
        conditions.write_or_compare(self.folder / "budget.json")

    @property
    def trained(self) -> CsvTable[Training]:
        """All trainings."""
        return CsvTable(self.folder / "trained.csv", Training)

    @property
    def scored(self) -> CsvTable[Score]:
        """The evaluations of the trainings at a chosen learning rate."""
        return CsvTable(self.folder / "scored.csv", Score)

    def training(self, key: Key) -> Training | None:
        """Return a training, or None if it is not complete."""
        return next((line for line in self.trained.read() if line.key == key), None)

    def score(self, key: Key) -> Score | None:
        """Return the evaluation of a training, or None if there is none."""
        return next((line for line in self.scored.read() if line.key == key), None)

    def best_rate(self, row: str, sparsity: float) -> float | None:
        """Return the best learning rate tried so far, with seed 0; None before the first."""
        trainings = [
            line
            for line in self.trained.read()
            if (line.key.row, line.key.sparsity, line.key.seed) == (row, sparsity, 0)
        ]
        best = max(trainings, key=lambda line: line.chosen, default=None)
        return best.key.learning_rate if best else None

    def weights_path(self, key: Key) -> Path:
        """Return the path of the weights of a training."""
        return self._path("weights", key, "safetensors")

    def save_weights(self, key: Key, weights: dict[str, Tensor]) -> None:
        """Write the weights of a training, whole or not at all."""
        path = self.weights_path(key)
        save_file(weights, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    @contextmanager
    def claim(self, key: Key) -> Iterator[bool]:
        """Lock a training until the block ends; give False if another process has locked it."""
        with self._path("locks", key, "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def _path(self, folder: str, key: Key, suffix: str) -> Path:
        (self.folder / folder).mkdir(parents=True, exist_ok=True)
        return self.folder / folder / f"{key.file_name}.{suffix}"
