"""Draw the training loss of some rows: what a round costs, and whether that is made up for before
the next one.

    python -m scripts.study.losses [--rows ROW ...] [--sparsity 0.9] [--learning_rate 1e-3]
    [--output PNG]

The budget is asked for as in run.py, by default a quarter of it. Prints the losses too, each the
mean of a few steps. A ROW is any of rows.py but the article's, whose loop is its own.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from matplotlib.figure import Figure

from scripts.study.arguments import add_budget, budget_of
from scripts.study.budget import Run
from scripts.study.peers import Article
from scripts.study.rows import ROWS

SCHEDULES = ("at once", "cubic, 4 rounds", "cubic, 8 rounds by half", "cubic, 50 rounds by half")
IN_A_TRAINER = [name for name, row in ROWS.items() if not isinstance(row, Article)]
STEPS = 4  # in a mean


class Losses(Callback):
    """Remember the loss of every step."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """See the class."""
        self.losses.append(float(outputs["loss"]))


def draw(losses: dict[str, list[float]], path: Path) -> None:
    """Draw curves, each point the mean of a few steps."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for row, means in losses.items():
        axes.plot([STEPS * (i + 0.5) for i in range(len(means))], means, label=row)
    axes.set(xlabel="optimizer step", ylabel="training loss")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", choices=IN_A_TRAINER, metavar="ROW", default=SCHEDULES)
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--learning_rate", type=float, default=1e-3)
    parser.add_argument("--output", type=Path, default=Path("lightning_logs/study/losses.png"))
    add_budget(parser, images=500)
    options = parser.parse_args()
    budget, losses = budget_of(options), {}
    for row in options.rows:
        watch = Losses()
        ROWS[row].train(
            Run(budget, options.sparsity, options.learning_rate, seed=0, watching=[watch])
        )
        losses[row] = [
            statistics.mean(watch.losses[i : i + STEPS]) for i in range(0, len(watch.losses), STEPS)
        ]
        print(f"{row}: {' '.join(f'{loss:.2f}' for loss in losses[row])}", flush=True)
        draw(losses, options.output)


if __name__ == "__main__":
    main()
