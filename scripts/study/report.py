"""Print the study's tables as markdown and draw its figures, from the results that are there.

    python -m scripts.study.report [--results FOLDER] [--figures FOLDER] [--page FILE]

The tables that a page names are replaced: what is between `<!-- table: peers 2000x4 -->` and
`<!-- end -->`.
"""

import argparse
from pathlib import Path

from scripts.study.figures import draw_curves, draw_rows
from scripts.study.journal import RESULTS, Journal
from scripts.study.markdown import fill, markdown_table
from scripts.study.results import Results
from scripts.study.tables import CURVES, FIGURES, LEARNING_RATES, TABLES, Part

ENOUGH = 3  # rows or sparsities for a figure


def accuracy_table(results: Results, parts: tuple[Part, ...]) -> str:
    """Return a table with a line for each row that has results, and a column for each sparsity."""
    cells = results.cells(parts)
    rows = dict.fromkeys(row for row, _ in cells)
    sparsities = sorted({sparsity for _, sparsity in cells})
    heads = [f"{sparsity:.0%}" for sparsity in sparsities]
    return markdown_table(
        ["method", *heads, "images seen", "learning rate", "minutes"],
        (
            [
                row.name,
                *(results.accuracy(row, sparsity) for sparsity in sparsities),
                *results.facts(row, sparsities),
            ]
            for row in rows
        ),
    )


def search_table(journal: Journal) -> str:
    """Return the accuracies that chose the learning rates, by row, sparsity and rate."""
    found: dict[tuple[str, float], dict[float, float]] = {}
    for training in journal.trained.read():
        key = training.key
        if key.seed == 0:
            rates = found.setdefault((key.row, key.sparsity), {})
            rates[key.learning_rate] = 100 * training.chosen
    lines = [
        [
            row,
            f"{sparsity:.0%}",
            *(f"{rates[rate]:.1f}" if rate in rates else "" for rate in LEARNING_RATES),
        ]
        for (row, sparsity), rates in sorted(found.items(), key=lambda entry: entry[0][1])
    ]
    return markdown_table(["method", "sparsity", *(f"{rate:g}" for rate in LEARNING_RATES)], lines)


def budgets_of(results: Path) -> dict[str, Path]:
    """Return the folders of all budgets with results, by their paths below this folder."""
    folders = sorted(path.parent for path in results.glob("**/trained.csv"))
    return {folder.relative_to(results).as_posix(): folder for folder in folders}


def tables_of(budget: str, folder: Path) -> dict[str, str]:
    """Return all tables of a budget that have results, by their names and the budget's."""
    journal = Journal(folder)
    results = Results.of(journal)
    found = {
        name: accuracy_table(results, parts)
        for name, parts in TABLES.items()
        if results.cells(parts)
    }
    found["learning rates"] = search_table(journal)
    return {f"{name} {budget}": text for name, text in found.items()}


def draw_all(budget: str, folder: Path, figures: Path) -> None:
    """Draw the figures of a budget that have enough results."""
    suffix = budget.replace("/", "_")
    results = Results.of(Journal(folder))
    for name, rows in FIGURES.items():
        present = [row for row in rows if results.sparsities([row])]
        if len(present) >= ENOUGH:
            draw_rows(results, present, figures / f"{name}_{suffix}.png")
    for name, rows in CURVES.items():
        if len(results.sparsities(rows)) >= ENOUGH:
            draw_curves(results, rows, figures / f"{name}_{suffix}.png")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=RESULTS,
        help="folder of the results (default: %(default)s)",
    )
    parser.add_argument("--figures", type=Path, help="folder of the figures (default: --results)")
    parser.add_argument("--page", type=Path, help="markdown file whose tables are replaced")
    options = parser.parse_args()
    budgets = budgets_of(options.results)
    tables = {name: text for budget in budgets.items() for name, text in tables_of(*budget).items()}
    for name, text in tables.items():
        print(f"\n{name}\n\n{text}")
    for budget in budgets.items():
        draw_all(*budget, options.figures or options.results)
    if options.page:
        options.page.write_text(fill(options.page.read_text(), tables))


if __name__ == "__main__":
    main()
