"""Print the study's tables as markdown and draw its figures, from the results that are there.

python scripts/study/report.py [--results docs/study] [--figures docs/images/study]
"""

import argparse
import statistics
from pathlib import Path

import matplotlib.pyplot as plt
from journal import KEY, Journal
from tables import FIGURES, TABLES, Part


def scores(journal: Journal, row: str, sparsity: float) -> list[float]:
    """Return the accuracies of a row, in per cent, one a seed."""
    lines = [line for line in journal.read("scored") if line["row"] == row and float(line["sparsity"]) == sparsity]
    return [100 * float(line["scored"]) for line in lines]


def cell(values: list[float]) -> str:
    """Return mean and spread."""
    if not values:
        return "-"
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}"


def table(journal: Journal, parts: tuple[Part, ...]) -> str:
    """Return a markdown table: a line for each row, a column for each sparsity."""
    sparsities = sorted({sparsity for part in parts for sparsity in part.sparsities})
    trained = {tuple(line[name] for name in KEY): line for line in journal.read("trained")}
    heads = ["method", *(f"{sparsity:.0%}" for sparsity in sparsities), "learning rate", "parameters", "images seen", "seconds"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in dict.fromkeys(row for part in parts for row in part.rows):
        chosen = [trained[tuple(line[name] for name in KEY)] for line in journal.read("scored") if line["row"] == row]
        chosen = [line for line in chosen if float(line["sparsity"]) in sparsities]
        cells = [cell(scores(journal, row, sparsity)) for sparsity in sparsities]
        for name in ("learning_rate", "parameters", "images_seen", "seconds"):
            cells.append(", ".join(dict.fromkeys(line[name] for line in chosen if line["seed"] == "0")) or "-")
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
