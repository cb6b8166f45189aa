"""What was scored within a budget, by row, sparsity and seed."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from scripts.study.journal import KEY, Journal
from scripts.study.tables import Part

TOLERANCE = 0.002  # of a sparsity, beyond which the reached one is named

Key = tuple[str, float, int]  # row, sparsity, seed


@dataclass(frozen=True)
class Outcome:
    """A training that was scored."""

    accuracy: float  # per cent
    training: dict[str, str]


@dataclass(frozen=True)
class Results:
    """What was scored within one budget."""

    scored: dict[Key, Outcome]

    @classmethod
    def of(cls, journal: Journal) -> "Results":
        """Read them, at the learning rate that is chosen now: a search may have gone on after a score."""
        trained = {tuple(line[name] for name in KEY): line for line in journal.read("trained")}
        scored = {}
        for line in journal.read("scored"):
            row, sparsity = line["row"], float(line["sparsity"])
            if float(line["learning_rate"]) == journal.best_rate(row, sparsity):
                training = trained[tuple(line[name] for name in KEY)]
                scored[row, sparsity, int(line["seed"])] = Outcome(
                    100 * float(line["scored"]), training
                )
        return cls(scored)

    def of_row(self, row: str, sparsity: float) -> list[Outcome]:
        """Return what came of a row, one outcome a seed."""
        return [outcome for key, outcome in self.scored.items() if key[:2] == (row, sparsity)]

    def sparsities(self, rows: Sequence[str]) -> list[float]:
        """Return the sparsities at which one of the rows was scored."""
        return sorted({sparsity for row, sparsity, _ in self.scored if row in rows})

    def has_some_of(self, parts: Sequence[Part]) -> bool:
        """Return whether anything of a table was scored."""
        return any(
            self.of_row(*cell) for part in parts for cell in product(part.rows, part.sparsities)
        )

    def cell(self, row: str, sparsity: float) -> str:
        """Return mean, standard deviation and number of seeds, and the sparsity that was reached if it is another."""
        found = self.of_row(row, sparsity)
        if not found:
            return "-"
        values = [outcome.accuracy for outcome in found]
        reached = statistics.mean(float(outcome.training["reached"]) for outcome in found)
        spread = f" ± {statistics.stdev(values):.1f} ({len(values)})" if len(values) > 1 else ""
        elsewhere = f" (at {reached:.1%})" if abs(reached - sparsity) > TOLERANCE else ""
        return f"{statistics.mean(values):.1f}{spread}{elsewhere}"

    def facts(self, row: str, sparsities: Sequence[float]) -> list[str]:
        """Return images seen, learning rates and mean minutes, the latter two for each sparsity."""
        found = [
            [outcome.training for outcome in self.of_row(row, sparsity)] for sparsity in sparsities
        ]
        seen = dict.fromkeys(line["images_seen"] for lines in found for line in lines)
        rates = [lines[0]["learning_rate"] if lines else "-" for lines in found]
        minutes = [
            f"{statistics.mean(int(line['seconds']) for line in lines) / 60:.0f}" if lines else "-"
            for lines in found
        ]
        return [", ".join(seen), ", ".join(rates), ", ".join(minutes)]
