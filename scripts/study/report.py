"""Print the study's tables as markdown and draw its figures, from the results that are there.

python scripts/study/report.py [--results docs/study] [--figures docs/images/study]
"""

import argparse
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from journal import KEY, Journal
from matplotlib.figure import Figure
from tables import FIGURES, TABLES, Part

TOLERANCE = 0.002  # of a sparsity, beyond which the reached one is named


Key = tuple[str, float, int]  # row, sparsity, seed


@dataclass(frozen=True)
class Results:
    """What was scored within one budget: the accuracy in per cent, and the line of the training."""

    scored: dict[Key, tuple[float, dict[str, str]]]

    @classmethod
    def of(cls, journal: Journal) -> "Results":
        """Read them."""
        trained = {tuple(line[name] for name in KEY): line for line in journal.read("trained")}
        return cls(
            {
                (line["row"], float(line["sparsity"]), int(line["seed"])): (
                    100 * float(line["scored"]),
                    trained[tuple(line[name] for name in KEY)],
                )
                for line in journal.read("scored")
            }
        )

    def of_row(self, row: str, sparsity: float, seeds: float = math.inf) -> list[tuple[float, dict[str, str]]]:
        """Return accuracies and lines, one a seed."""
        return [value for key, value in self.scored.items() if key[:2] == (row, sparsity) and key[2] < seeds]

    def sparsities(self, rows: Sequence[str]) -> list[float]:
        """Return the sparsities at which one of the rows was scored."""
        return sorted({sparsity for row, sparsity, _ in self.scored if row in rows})

    def cell(self, row: str, sparsity: float, seeds: float) -> str:
        """Return mean, spread and number of seeds, and the sparsity that was reached if it is another."""
        found = self.of_row(row, sparsity, seeds)
        if not found:
            return "-"
        values, reached = [value for value, _ in found], statistics.mean(float(line["reached"]) for _, line in found)
        spread = f" ± {statistics.stdev(values):.1f} ({len(values)})" if len(values) > 1 else ""
        elsewhere = f" (at {reached:.1%})" if abs(reached - sparsity) > TOLERANCE else ""
        return f"{statistics.mean(values):.1f}{spread}{elsewhere}"

    def facts(self, row: str, sparsities: Sequence[float]) -> list[str]:
        """Return images seen, learning rates and minutes, one for each sparsity."""
        lines = [line for sparsity in sparsities for _, line in self.of_row(row, sparsity, 1)]
        minutes = (f"{int(line['seconds']) / 60:.0f}" for line in lines)
        seen = dict.fromkeys(line["images_seen"] for line in lines)
        return [", ".join(seen), ", ".join(line["learning_rate"] for line in lines), ", ".join(minutes)]


def table(results: Results, parts: tuple[Part, ...]) -> str:
    """Return a markdown table: a line for each row that was scored, a column for each sparsity."""
    seeds = {(row, sparsity): part.seeds for part in parts for row in part.rows for sparsity in part.sparsities}
    there = [(row, sparsity) for row, sparsity in seeds if results.of_row(row, sparsity)]
    rows, sparsities = dict.fromkeys(row for row, _ in there), sorted({sparsity for _, sparsity in there})
    heads = ["method", *(f"{sparsity:.0%}" for sparsity in sparsities), "images seen", "learning rate", "minutes"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in rows:
        cells = [results.cell(row, sparsity, seeds.get((row, sparsity), 0)) for sparsity in sparsities]
        lines.append("| " + " | ".join([row, *cells, *results.facts(row, sparsities)]) + " |")
    return "\n".join(lines)


def draw(results: Results, rows: Sequence[str], path: Path) -> None:
    """Draw accuracies, a line of the figure for each row that was scored and a marker for each sparsity.

    With several seeds a marker is their mean, and a bar goes from the lowest to the highest.
    """
    rows = [row for row in rows if results.sparsities([row])]
    figure = Figure(figsize=(7, 0.9 + 0.4 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for sparsity, marker, shade in zip(results.sparsities(rows), "osD^v", ("0.0", "0.45", "0.25", "0.6", "0.35"), strict=False):
        found = {y: [value for value, _ in results.of_row(row, sparsity)] for y, row in enumerate(rows)}
        found = {y: values for y, values in found.items() if values}
        means = [statistics.mean(values) for values in found.values()]
        low = [mean - min(values) for mean, values in zip(means, found.values(), strict=True)]
        high = [max(values) - mean for mean, values in zip(means, found.values(), strict=True)]
        axes.errorbar(
            means,
            list(found),
            xerr=(low, high),
            marker=marker,
            color=shade,
            linestyle="",
            capsize=3,
            label=f"{sparsity:.0%} sparse",
        )
    axes.set(xlabel="accuracy (%)", yticks=range(len(rows)), yticklabels=rows)
    axes.invert_yaxis()
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=5, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("docs/study"))
    parser.add_argument("--figures", type=Path, default=Path("docs/images/study"))
    options = parser.parse_args()
    for folder in sorted(path.parent for path in options.results.glob("*/scored.csv")):
        results = Results.of(Journal(folder))
        for name, parts in TABLES.items():
            if results.sparsities([row for part in parts for row in part.rows]):
                print(f"\n{name}, {folder.name} images\n\n{table(results, parts)}")
        for name, rows in FIGURES.items():
            if results.sparsities(rows):
                draw(results, rows, options.figures / f"{name}_{folder.name}.png")


if __name__ == "__main__":
    main()
