"""Print the study's tables as markdown and draw its figures, from the results that are there.

python scripts/study/report.py [--results docs/study] [--figures docs/images/study]
"""

import argparse
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
from journal import KEY, Journal
from tables import FIGURES, TABLES, Part

TOLERANCE = 0.002  # of a sparsity, beyond which the reached one is named


Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class Results:
    """What was trained and scored within one budget."""

    trained: dict[Key, dict[str, str]]
    scored: dict[Key, float]

    @classmethod
    def of(cls, journal: Journal) -> "Results":
        """Read them."""
        trained = {tuple(line[name] for name in KEY): line for line in journal.read("trained")}
        scored = {tuple(line[name] for name in KEY): 100 * float(line["scored"]) for line in journal.read("scored")}
        return cls(trained, scored)

    def keys(self, row: str, sparsity: float, seeds: float = math.inf) -> list[Key]:
        """Return what was scored of a row, a key a seed."""
        return [key for key in self.scored if (key[0], float(key[1])) == (row, sparsity) and int(key[3]) < seeds]

    def sparsities(self, rows: Iterable[str]) -> list[float]:
        """Return the sparsities at which one of the rows was scored."""
        return sorted({float(key[1]) for key in self.scored if key[0] in rows})

    def cell(self, row: str, sparsity: float, seeds: float) -> str:
        """Return mean, spread and number of seeds, and the sparsity that was reached if it is another."""
        keys = self.keys(row, sparsity, seeds)
        if not keys:
            return "-"
        values, reached = [self.scored[key] for key in keys], float(self.trained[keys[0]]["reached"])
        spread = f" ± {statistics.stdev(values):.1f} ({len(values)})" if len(values) > 1 else ""
        elsewhere = f" (at {reached:.1%})" if abs(reached - sparsity) > TOLERANCE else ""
        return f"{statistics.mean(values):.1f}{spread}{elsewhere}"

    def facts(self, row: str, sparsities: Sequence[float]) -> list[str]:
        """Return learning rates and minutes, one for each sparsity."""
        lines = [self.trained[key] for sparsity in sparsities for key in self.keys(row, sparsity, 1)]
        return [
            ", ".join(line["learning_rate"] for line in lines),
            ", ".join(f"{int(line['seconds']) / 60:.0f}" for line in lines),
        ]


def table(results: Results, parts: tuple[Part, ...]) -> str:
    """Return a markdown table: a line for each row that was scored, a column for each sparsity."""
    seeds = {(row, sparsity): part.seeds for part in parts for row in part.rows for sparsity in part.sparsities}
    there = [(row, sparsity) for row, sparsity in seeds if results.keys(row, sparsity)]
    rows, sparsities = dict.fromkeys(row for row, _ in there), sorted({sparsity for _, sparsity in there})
    heads = ["method", *(f"{sparsity:.0%}" for sparsity in sparsities), "learning rate", "minutes"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in rows:
        cells = [results.cell(row, sparsity, seeds.get((row, sparsity), 0)) for sparsity in sparsities]
        lines.append("| " + " | ".join([row, *cells, *results.facts(row, sparsities)]) + " |")
    return "\n".join(lines)


def draw(results: Results, rows: tuple[str, ...], path: Path) -> None:
    """Draw accuracy against sparsity, a line for each row."""
    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for row, (marker, style) in zip(rows, zip("os^Dv<>P", ("-", "--", "-.", ":") * 2, strict=True), strict=False):
        points = results.sparsities([row])
        found = {sparsity: [results.scored[key] for key in results.keys(row, sparsity)] for sparsity in points}
        means = [statistics.mean(values) for values in found.values()]
        low = [mean - min(values) for mean, values in zip(means, found.values(), strict=True)]
        high = [max(values) - mean for mean, values in zip(means, found.values(), strict=True)]
        axes.errorbar(
            [100 * sparsity for sparsity in found], means, (low, high), marker=marker, linestyle=style, capsize=3, label=row
        )
    axes.set(xlabel="sparsity (%)", ylabel="accuracy (%)")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("docs/study"))
    parser.add_argument("--figures", type=Path, default=Path("docs/images/study"))
    options = parser.parse_args()
    for folder in sorted(path.parent for path in options.results.glob("*/trained.csv")):
        results = Results.of(Journal(folder))
        for name, parts in TABLES.items():
            if results.sparsities([row for part in parts for row in part.rows]):
                print(f"\n{name}, {folder.name} images\n\n{table(results, parts)}")
        for name, rows in FIGURES.items():
            draw(results, rows, options.figures / f"{name}_{folder.name}.png")


if __name__ == "__main__":
    main()
