"""The accuracies within a budget, by row, sparsity and seed."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from scripts.study.journal import Journal
from scripts.study.lines import Training
from scripts.study.rows.row import Row
from scripts.study.tables import Part

TOLERANCE = 0.002  # of a sparsity, beyond which a cell names the one that was reached


@dataclass(frozen=True)
class Outcome:
    """A training at its chosen learning rate, and its accuracy in per cent."""

    accuracy: float
    training: Training


@dataclass(frozen=True)
class Results:
    """The outcomes of a budget, by name of the row, sparsity and seed."""

    outcomes: dict[tuple[str, float, int], Outcome]

    @classmethod
    def of(cls, journal: Journal) -> "Results":
        """Read the results at the learning rates that are the best now.

        A search that was continued after an evaluation may have found a better one.
        """
        trained = {training.key: training for training in journal.trained.read()}
        outcomes = {}
        for score in journal.scored.read():
            key = score.key
            if key.learning_rate == journal.best_rate(key.row, key.sparsity):
                outcome = Outcome(100 * score.scored, trained[key])
                outcomes[key.row, key.sparsity, key.seed] = outcome
        return cls(outcomes)

    def of_row(self, row: Row, sparsity: float) -> list[Outcome]:
        """Return the outcomes of a row, one for each seed."""
        wanted = (row.name, sparsity)
        return [outcome for key, outcome in self.outcomes.items() if key[:2] == wanted]

    def sparsities(self, rows: Sequence[Row]) -> list[float]:
        """Return the sparsities at which any of the rows has an outcome."""
        names = {row.name for row in rows}
        return sorted({sparsity for name, sparsity, _ in self.outcomes if name in names})

    def cells(self, parts: Sequence[Part]) -> list[tuple[Row, float]]:
        """Return the rows and sparsities of a table that have an outcome."""
        return [
            cell
            for part in parts
            for cell in product(part.rows, part.sparsities)
            if self.of_row(*cell)
        ]

    def accuracy(self, row: Row, sparsity: float) -> str:
        """Return mean, standard deviation and number of seeds, or `-` without an outcome.

        The sparsity that was reached follows where it is not the target.
        """
        found = self.of_row(row, sparsity)
        if not found:
            return "-"
        values = [outcome.accuracy for outcome in found]
        reached = statistics.mean(outcome.training.reached for outcome in found)
        spread = f" ± {statistics.stdev(values):.1f} ({len(values)})" if len(values) > 1 else ""
        elsewhere = f" (at {reached:.1%})" if abs(reached - sparsity) > TOLERANCE else ""
        return f"{statistics.mean(values):.1f}{spread}{elsewhere}"

    def facts(self, row: Row, sparsities: Sequence[float]) -> list[str]:
        """Return the images seen, and for each sparsity the learning rate and mean minutes."""
        found = [
            [outcome.training for outcome in self.of_row(row, sparsity)] for sparsity in sparsities
        ]
        seen = dict.fromkeys(str(line.images_seen) for lines in found for line in lines)
        rates = [f"{lines[0].key.learning_rate:g}" if lines else "-" for lines in found]
        minutes = [
            f"{statistics.mean(line.seconds for line in lines) / 60:.0f}" if lines else "-"
            for lines in found
        ]
        return [", ".join(seen), ", ".join(rates), ", ".join(minutes)]
