"""Print the study's tables as markdown and draw its figures, from the results that are there.

python scripts/study/report.py [--results FOLDER] [--figures FOLDER]
"""

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, product
from pathlib import Path

from journal import KEY, RESULTS, Journal
from matplotlib.figure import Figure
from tables import CURVES, FIGURES, LEARNING_RATES, TABLES, Part

TOLERANCE = 0.002  # of a sparsity, beyond which the reached one is named
ENOUGH = 3  # rows or sparsities to draw a figure of

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
                scored[row, sparsity, int(line["seed"])] = Outcome(100 * float(line["scored"]), training)
        return cls(scored)

    def of_row(self, row: str, sparsity: float) -> list[Outcome]:
        """Return what came of a row, one outcome a seed."""
        return [outcome for key, outcome in self.scored.items() if key[:2] == (row, sparsity)]

    def sparsities(self, rows: Sequence[str]) -> list[float]:
        """Return the sparsities at which one of the rows was scored."""
        return sorted({sparsity for row, sparsity, _ in self.scored if row in rows})

    def has_some_of(self, parts: Sequence[Part]) -> bool:
        """Return whether anything of a table was scored."""
        return any(self.of_row(*cell) for part in parts for cell in product(part.rows, part.sparsities))

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
        found = [[outcome.training for outcome in self.of_row(row, sparsity)] for sparsity in sparsities]
        seen = dict.fromkeys(line["images_seen"] for lines in found for line in lines)
        rates = [lines[0]["learning_rate"] if lines else "-" for lines in found]
        minutes = [f"{statistics.mean(int(line['seconds']) for line in lines) / 60:.0f}" if lines else "-" for lines in found]
        return [", ".join(seen), ", ".join(rates), ", ".join(minutes)]


def table(results: Results, parts: tuple[Part, ...]) -> str:
    """Return a markdown table: a line for each row that was scored, a column for each sparsity."""
    there = [cell for part in parts for cell in product(part.rows, part.sparsities) if results.of_row(*cell)]
    rows, sparsities = dict.fromkeys(row for row, _ in there), sorted({sparsity for _, sparsity in there})
    heads = ["method", *(f"{sparsity:.0%}" for sparsity in sparsities), "images seen", "learning rate", "minutes"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in rows:
        cells = [results.cell(row, sparsity) for sparsity in sparsities]
        lines.append("| " + " | ".join([row, *cells, *results.facts(row, sparsities)]) + " |")
    return "\n".join(lines)


def search(journal: Journal) -> str:
    """Return a markdown table of what chose the learning rates: the accuracy on that half by row, sparsity and rate."""
    found: dict[tuple[str, float], dict[float, float]] = {}
    for line in journal.read("trained"):
        if line["seed"] == "0":
            rates = found.setdefault((line["row"], float(line["sparsity"])), {})
            rates[float(line["learning_rate"])] = 100 * float(line["chosen"])
    heads = ["method", "sparsity", *(f"{rate:g}" for rate in LEARNING_RATES)]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for (row, sparsity), rates in sorted(found.items(), key=lambda entry: entry[0][1]):
        cells = [f"{rates[rate]:.1f}" if rate in rates else "" for rate in LEARNING_RATES]
        lines.append("| " + " | ".join([row, f"{sparsity:.0%}", *cells]) + " |")
    return "\n".join(lines)


def draw(results: Results, rows: Sequence[str], path: Path) -> None:
    """Draw accuracies, a line of the figure for each row and a marker for each sparsity at which it was scored.

    With several seeds a marker is their mean, and a bar goes from the lowest to the highest.
    """
    width = 4.5 + 0.075 * max(map(len, rows))  # beside their names
    figure = Figure(figsize=(width, 0.9 + 0.4 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for sparsity, marker, shade in zip(results.sparsities(rows), cycle("osD^v"), cycle(("0.0", "0.45", "0.25", "0.6"))):
        axes.plot([], [], marker, color=shade, label=f"{sparsity:.0%} sparse")
        for y, row in enumerate(rows):
            values = [outcome.accuracy for outcome in results.of_row(row, sparsity)]
            if values:
                axes.plot(statistics.mean(values), y, marker, color=shade)
                axes.hlines(y, min(values), max(values), color=shade)
    axes.set(xlabel="accuracy (%)", yticks=range(len(rows)), yticklabels=rows)
    axes.invert_yaxis()
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=5, frameon=False)
    save(figure, path)


def draw_curves(results: Results, rows: Sequence[str], path: Path) -> None:
    """Draw the accuracy of each row over the sparsities at which it was scored.

    With several seeds it is their mean, and a bar goes from the lowest to the highest.
    """
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for row, marker in zip(rows, cycle("osD^v")):
        sparsities = results.sparsities([row])
        values = [[outcome.accuracy for outcome in results.of_row(row, sparsity)] for sparsity in sparsities]
        x = [100 * sparsity for sparsity in sparsities]
        (line,) = axes.plot(x, [statistics.mean(seeds) for seeds in values], marker=marker, label=row)
        axes.vlines(x, [min(seeds) for seeds in values], [max(seeds) for seeds in values], color=line.get_color())
    axes.set(xlabel="weights that are zero (%)", ylabel="accuracy (%)")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--figures", type=Path, help="by default beside the results")
    options = parser.parse_args()
    figures = options.figures or options.results
    for folder in sorted(path.parent for path in options.results.glob("*/scored.csv")):
        journal = Journal(folder)
        results = Results.of(journal)
        for name, parts in TABLES.items():
            if results.has_some_of(parts):
                print(f"\n{name}, {folder.name} images\n\n{table(results, parts)}")
        print(f"\nlearning rates, {folder.name} images, on the half that chooses\n\n{search(journal)}")
        for name, rows in FIGURES.items():
            if len(there := [row for row in rows if results.sparsities([row])]) >= ENOUGH:
                draw(results, there, figures / f"{name}_{folder.name}.png")
        for name, rows in CURVES.items():
            if len(results.sparsities(rows)) >= ENOUGH:
                draw_curves(results, rows, figures / f"{name}_{folder.name}.png")


if __name__ == "__main__":
    main()
