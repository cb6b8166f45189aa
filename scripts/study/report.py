"""Print the study's tables as markdown and draw its figures, from the results that are there.

    python -m scripts.study.report [--results FOLDER] [--figures FOLDER] [--page FILE]

A page gets the tables that it names: what is between `<!-- table: peers 2000x4 -->` and `<!-- end
-->` is replaced.
"""

import argparse
import re
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

from scripts.study.figures import draw, draw_curves
from scripts.study.journal import RESULTS, Journal
from scripts.study.results import Results
from scripts.study.tables import CURVES, FIGURES, LEARNING_RATES, TABLES, Part

ENOUGH = 3  # rows or sparsities to draw a figure of


def markdown(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    cells = [heads, ["---"] * len(heads), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)


def table(results: Results, parts: tuple[Part, ...]) -> str:
    """Return a line for each row that was scored, a column for each sparsity."""
    there = [
        cell
        for part in parts
        for cell in product(part.rows, part.sparsities)
        if results.of_row(*cell)
    ]
    rows, sparsities = (
        dict.fromkeys(row for row, _ in there),
        sorted({sparsity for _, sparsity in there}),
    )
    return markdown(
        [
            "method",
            *(f"{sparsity:.0%}" for sparsity in sparsities),
            "images seen",
            "learning rate",
            "minutes",
        ],
        (
            [
                row,
                *(results.cell(row, sparsity) for sparsity in sparsities),
                *results.facts(row, sparsities),
            ]
            for row in rows
        ),
    )


def search(journal: Journal) -> str:
    """Return what chose the learning rates: the accuracy on that half by row, sparsity and rate."""
    found: dict[tuple[str, float], dict[float, float]] = {}
    for line in journal.read("trained"):
        if line["seed"] == "0":
            rates = found.setdefault((line["row"], float(line["sparsity"])), {})
            rates[float(line["learning_rate"])] = 100 * float(line["chosen"])
    lines = [
        [
            row,
            f"{sparsity:.0%}",
            *(f"{rates[rate]:.1f}" if rate in rates else "" for rate in LEARNING_RATES),
        ]
        for (row, sparsity), rates in sorted(found.items(), key=lambda entry: entry[0][1])
    ]
    return markdown(["method", "sparsity", *(f"{rate:g}" for rate in LEARNING_RATES)], lines)


def tables_of(folder: Path) -> dict[str, str]:
    """Return all tables of a budget that have anything in them, by their names and the budget's."""
    journal = Journal(folder)
    results = Results.of(journal)
    found = {
        name: table(results, parts) for name, parts in TABLES.items() if results.has_some_of(parts)
    }
    return {
        f"{name} {folder.name}": text
        for name, text in {**found, "learning rates": search(journal)}.items()
    }


def draw_all(folder: Path, figures: Path) -> None:
    """Draw the figures of a budget for which there is enough."""
    results = Results.of(Journal(folder))
    for name, rows in FIGURES.items():
        if len(there := [row for row in rows if results.sparsities([row])]) >= ENOUGH:
            draw(results, there, figures / f"{name}_{folder.name}.png")
    for name, rows in CURVES.items():
        if len(results.sparsities(rows)) >= ENOUGH:
            draw_curves(results, rows, figures / f"{name}_{folder.name}.png")


def fill(text: str, tables: dict[str, str]) -> str:
    """Return a page with its tables as they are now."""

    def current(match: re.Match[str]) -> str:
        if match["name"] not in tables:
            raise SystemExit(
                f"the page wants the table {match['name']}; there are {', '.join(tables)}."
            )
        return f"<!-- table: {match['name']} -->\n\n{tables[match['name']]}\n\n<!-- end -->"

    return re.sub(r"<!-- table: (?P<name>[^>]+) -->.*?<!-- end -->", current, text, flags=re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--figures", type=Path, help="by default beside the results")
    parser.add_argument("--page", type=Path, help="a markdown file with tables to bring up to date")
    options = parser.parse_args()
    folders = sorted(path.parent for path in options.results.glob("*/scored.csv"))
    tables = {name: text for folder in folders for name, text in tables_of(folder).items()}
    for name, text in tables.items():
        print(f"\n{name}\n\n{text}")
    for folder in folders:
        draw_all(folder, options.figures or options.results)
    if options.page:
        options.page.write_text(fill(options.page.read_text(), tables))


if __name__ == "__main__":
    main()
