"""Print and draw the training losses of some rows.

    python -m scripts.study.losses [--rows ROW ...] [--sparsity 0.9] [--learning_rate 1e-3]
    [--output PNG]

They show what each round costs, and whether training recovers from it before the next one. Every
value is the mean of a few steps. A ROW is the name of any row in scripts/study/tables.py that
trains in a Trainer, so not the article's. The default budget is a quarter of that of
scripts.study.run.
"""

import argparse
import statistics
from collections.abc import Mapping
from pathlib import Path

from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from scripts.study.arguments import add_budget, budget_of
from scripts.study.figures import draw_losses
from scripts.study.fine_tuning import FineTuning
from scripts.study.journal import RESULTS
from scripts.study.tables import LOSSES, TABLES, rows_of

INTERVAL = 4  # steps in a mean
ROWS = {row.name: row for row in rows_of(*TABLES) if row.uses_trainer}


class Losses(Callback):
    """Collect the loss of every step."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Mapping[str, Tensor],
        batch: object,
        batch_idx: int,
    ) -> None:
        """Append the loss of this step."""
        self.losses.append(float(outputs["loss"]))

    def means(self) -> list[float]:
        """Return the means of consecutive steps."""
        starts = range(0, len(self.losses), INTERVAL)
        return [statistics.mean(self.losses[i : i + INTERVAL]) for i in starts]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rows",
        nargs="+",
        choices=ROWS,
        metavar="ROW",
        default=[row.name for row in LOSSES],
        help="names of rows (default: four schedules)",
    )
    parser.add_argument(
        "--sparsity", type=float, default=0.9, help="target sparsity (default: %(default)s)"
    )
    parser.add_argument(
        "--learning_rate",
        type=float,
        default=1e-3,
        help="learning rate at its peak (default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=RESULTS / "losses.png",
        help="the figure (default: %(default)s)",
    )
    add_budget(parser, images=500)
    options = parser.parse_args()
    budget = budget_of(options)
    losses: dict[str, list[float]] = {}
    for name in options.rows:
        watch = Losses()
        ROWS[name].train(
            FineTuning(budget, options.sparsity, options.learning_rate, seed=0, callbacks=[watch])
        )
        losses[name] = watch.means()
        print(f"{name}: {' '.join(f'{loss:.2f}' for loss in losses[name])}", flush=True)
        draw_losses(losses, INTERVAL, options.output)


if __name__ == "__main__":
    main()
