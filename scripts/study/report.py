"""Print the study's tables as markdown and draw its figures, from the results that are there.

python scripts/study/report.py [--results docs/study] [--figures docs/images/study]
"""

import argparse
import math
import statistics
from pathlib import Path

import matplotlib.pyplot as plt
from journal import KEY, Journal
from tables import FIGURES, TABLES, Part


def scores(journal: Journal, row: str, sparsity: float, seeds: float = math.inf) -> list[float]:
    """Return the accuracies of a row, in per cent, one a seed."""
    wanted = (row, sparsity)
    lines = [line for line in journal.read("scored") if (line["row"], float(line["sparsity"])) == wanted]
    return [100 * float(line["scored"]) for line in lines if int(line["seed"]) < seeds]


def cell(values: list[float]) -> str:
    """Return mean, spread and number of seeds."""
    if not values:
        return "-"
    return f"{statistics.mean(values):.1f}" + (f" ± {statistics.stdev(values):.1f} ({len(values)})" if len(values) > 1 else "")


def table(journal: Journal, parts: tuple[Part, ...]) -> str:
    """Return a markdown table: a line for each row, a column for each sparsity; what else is said of each is in their order."""
    sparsities = sorted({sparsity for part in parts for sparsity in part.sparsities})
    seeds = {(row, sparsity): part.seeds for part in parts for row in part.rows for sparsity in part.sparsities}
    trained = {tuple(line[name] for name in KEY): line for line in journal.read("trained")}
    said = ("reached", "learning_rate", "parameters", "images_seen", "seconds")
    heads = ["method", *(f"{sparsity:.0%}" for sparsity in sparsities), *(name.replace("_", " ") for name in said)]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in dict.fromkeys(row for part in parts for row in part.rows):
        chosen = [trained[tuple(line[name] for name in KEY)] for line in journal.read("scored") if line["row"] == row]
        chosen = [line for line in chosen if line["seed"] == "0" and float(line["sparsity"]) in sparsities]
        chosen.sort(key=lambda line: float(line["sparsity"]))
        cells = [cell(scores(journal, row, sparsity, seeds.get((row, sparsity), 0))) for sparsity in sparsities]
        cells += [", ".join(line[name] for line in chosen) or "-" for name in said]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(journal: Journal, rows: tuple[str, ...], path: Path) -> None:
    """Draw accuracy against sparsity, a line for each row."""
    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for row, (marker, style) in zip(rows, zip("os^Dv<>P", ("-", "--", "-.", ":") * 2, strict=True), strict=False):
        points = {float(line["sparsity"]) for line in journal.read("scored") if line["row"] == row}
        found = {sparsity: scores(journal, row, sparsity) for sparsity in sorted(points)}
        means = [statistics.mean(values) for values in found.values()]
        low = [mean - min(values) for mean, values in zip(means, found.values(), strict=True)]
        high = [max(values) - mean for mean, values in zip(means, found.values(), strict=True)]
        axes.errorbar([100 * s for s in found], means, (low, high), marker=marker, linestyle=style, capsize=3, label=row)
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
    journal = Journal(options.results)
    for name, parts in TABLES.items():
        print(f"\n{name}\n\n{table(journal, parts)}")
    for name, rows in FIGURES.items():
        draw(journal, rows, options.figures / f"{name}.png")


if __name__ == "__main__":
    main()
