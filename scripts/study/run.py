"""Train and evaluate the rows of some tables within one budget.

    python -m scripts.study.run TABLE ... [--model FOLDER] [--source FOLDER]

    python -m scripts.study.run TABLE ... --learning_rate 1e-3

TABLE is one of those in scripts/study/tables.py. The learning rate of every row is searched on one
half of the validation images, and its accuracy is reported on the other half. Every training sees
the same number of images. Trainings that the results have are not repeated, and several processes
may work on the same tables. With --learning_rate nothing is searched and no accuracy is reported:
every row is trained once at this rate, and the half that chooses compares them. The results of a
budget are in a folder of --results, such as lightning_logs/study/2000x4, and the weights (22 MB
each) in its `weights/`.
"""

import argparse
import time
from pathlib import Path

from scripts.study.arguments import add_budget, budget_of
from scripts.study.budget import Budget
from scripts.study.journal import RESULTS, Journal
from scripts.study.lines import Key
from scripts.study.rows.row import Row
from scripts.study.study import Study
from scripts.study.tables import TABLES

WAIT_S = 10  # for trainings of other processes


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "tables", metavar="TABLE", nargs="+", choices=TABLES, help=f"any of {', '.join(TABLES)}"
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=RESULTS,
        help="folder of the results (default: %(default)s)",
    )
    parser.add_argument(
        "--learning_rate", type=float, help="train at this rate alone, without a search"
    )
    add_budget(parser, Budget.images)
    options = parser.parse_args()
    budget = budget_of(options)
    parts = [part for table in options.tables for part in TABLES[table]]
    left = [
        (row, sparsity, part.seeds)
        for part in parts
        for sparsity in part.sparsities
        for row in part.rows
    ]
    for row, _, _ in left:
        row.check(budget)
    study = Study(budget, Journal(options.results / f"{options.images}x{options.epochs}"))
    while left:
        done = next((entry for entry in left if finish(study, options.learning_rate, *entry)), None)
        if done:
            left.remove(done)
        else:
            time.sleep(WAIT_S)
    print(
        f"Complete: {', '.join(options.tables)} in {study.journal.folder}. Print the tables with "
        "python -m scripts.study.report."
    )


def finish(study: Study, rate: float | None, row: Row, sparsity: float, seeds: int) -> bool:
    """Do what is left of a row; return whether all of it is done."""
    if rate is None:
        return study.complete(row, sparsity, seeds)
    return study.train(row, Key(row.name, sparsity, rate, seed=0))


if __name__ == "__main__":
    main()
