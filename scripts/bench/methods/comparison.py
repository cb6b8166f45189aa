"""Accuracies of criteria by sparsity and column, one line of a CSV file each."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from scripts.study.csv_table import CsvTable
from scripts.study.markdown import markdown_table


@dataclass(frozen=True)
class Setting:
    """What identifies a training."""

    criterion: str
    sparsity: float
    column: str
    seed: int
    epochs: int


@dataclass(frozen=True)
class Result:
    """The validation accuracy of a training, in [0, 1]."""

    setting: Setting
    accuracy: float


@dataclass(frozen=True)
class Comparison:
    """Criteria at some sparsities, in some columns.

    Args:
        criteria: Names of the criteria.
        sparsities: Target sparsities.
        columns: Columns of the table at each sparsity, in their order.
        trained: The columns that are trained; these trainings yield the others, too.
        epochs: Epochs of a training, by default.
        run: Trains a setting and returns the results of all columns that it yields.

    """

    criteria: Sequence[str]
    sparsities: Sequence[float]
    columns: Sequence[str]
    trained: Sequence[str]
    epochs: int
    run: Callable[[Setting], list[Result]]

    def complete(self, path: Path, epochs: int, seeds: int) -> None:
        """Train all settings that a CSV file does not have, and append their results."""
        path.parent.mkdir(parents=True, exist_ok=True)
        table = CsvTable(path, Result)
        done = {result.setting for result in table.read()}
        for seed, sparsity, criterion, column in product(
            range(seeds), self.sparsities, self.criteria, self.trained
        ):
            setting = Setting(criterion, sparsity, column, seed, epochs)
            if setting not in done:
                for result in self.run(setting):
                    table.append(result)
                print(f"{criterion}, {sparsity:.0%}, {column}, seed {seed}", flush=True)

    def table(self, path: Path, epochs: int) -> str:
        """Return a markdown table of the accuracies in per cent: mean and standard deviation."""
        results = [line for line in CsvTable(path, Result).read() if line.setting.epochs == epochs]
        places = list(product(self.sparsities, self.columns))
        return markdown_table(
            ["criterion", *(f"{sparsity:.0%} {column}" for sparsity, column in places)],
            (
                [criterion, *(cell(results, criterion, *place) for place in places)]
                for criterion in self.criteria
            ),
        )


def cell(results: list[Result], criterion: str, sparsity: float, column: str) -> str:
    """Return mean and standard deviation over the seeds, or `-` without a result."""
    wanted = (criterion, sparsity, column)
    values = [
        100 * result.accuracy
        for result in results
        if (result.setting.criterion, result.setting.sparsity, result.setting.column) == wanted
    ]
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}" if values else "-"
