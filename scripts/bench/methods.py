"""Every criterion on the embedded digits, on equal terms: one-shot, one-shot and fine-tuned, iterative; 3 seeds.

    python scripts/bench/methods.py [--epochs 8] [--seeds 3] [--output docs/methods.csv]

Fine-tuning takes the same number of steps in every column. Iterative: a cubic schedule over the first half of the epochs. Rows
that the output holds already are not run again. Prints a table of validation accuracies in per cent: mean and deviation.
"""

import argparse
import csv
import statistics
import warnings
from itertools import product
from pathlib import Path

import torch
from lightning import Trainer, seed_everything

from vitprune.data import ImageData
from vitprune.model import ViTClassifier
from vitprune.pruning import (
    Cubic,
    Fisher,
    IterativePruning,
    Magnitude,
    Movement,
    OneShot,
    Random,
    SparseGPT,
    Taylor,
    Wanda,
)
from vitprune.training.exact_resume import ExactResume

CRITERIA = {
    "Random": Random,
    "Magnitude": Magnitude,
    "Taylor": Taylor,
    "Fisher": Fisher,
    "Wanda": Wanda,
    "SparseGPT": SparseGPT,
    "Movement": Movement,
}
COLUMNS = ("one-shot", "one-shot, fine-tuned", "iterative")
SPARSITIES = (0.8, 0.95)
FIELDS = ("criterion", "sparsity", "column", "seed", "epochs", "accuracy")
LEARNING_RATE = 1e-3


def run(criterion: str, sparsity: float, column: str, seed: int, epochs: int) -> dict[str, float]:
    """Return the validation accuracy of one run, by column: a one-shot run has that of before its fine-tuning, too."""
    seed_everything(seed, verbose=False)
    first = 1 if criterion == "Movement" else 0  # which scores what training did
    schedule = OneShot(sparsity, epoch=first) if column != "iterative" else Cubic(sparsity, first, end_epoch=epochs // 2)
    pruning = IterativePruning(schedule, CRITERIA[criterion]())
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="auto",
        callbacks=[pruning, ExactResume()],
        check_val_every_n_epoch=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
    data = ImageData("digits", "digits")
    trainer.fit(ViTClassifier("digits", learning_rate=LEARNING_RATE), data)
    last = pruning.rounds[-1]
    accuracies = {column: last.finetuned}
    if column == "one-shot, fine-tuned" and first == 0:
        accuracies["one-shot"] = last.pruned
    return accuracies


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open())) if path.exists() else []


def fill(path: Path, epochs: int, seeds: int) -> None:
    done = {tuple(row[field] for field in FIELDS[:-1]) for row in read(path)}
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if not done:
            writer.writerow(FIELDS)
        for seed, sparsity, criterion, column in product(range(seeds), SPARSITIES, CRITERIA, COLUMNS[1:]):
            key = (criterion, str(sparsity), column, str(seed), str(epochs))
            if key in done:
                continue
            for name, accuracy in run(criterion, sparsity, column, seed, epochs).items():
                writer.writerow((*key[:2], name, *key[3:], round(accuracy, 6)))
            file.flush()
            print(*key, flush=True)


def table(rows: list[dict[str, str]]) -> str:
    heads = [f"{sparsity:.0%} {column}" for sparsity in SPARSITIES for column in COLUMNS]
    lines = ["| criterion | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for criterion in CRITERIA:
        cells = [cell(rows, criterion, sparsity, column) for sparsity in SPARSITIES for column in COLUMNS]
        lines.append(f"| {criterion} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(rows: list[dict[str, str]], criterion: str, sparsity: float, column: str) -> str:
    wanted = {"criterion": criterion, "sparsity": str(sparsity), "column": column}
    values = [100 * float(row["accuracy"]) for row in rows if wanted.items() <= row.items()]
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}" if values else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("docs/methods.csv"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    fill(options.output, options.epochs, options.seeds)
    print(table([row for row in read(options.output) if row["epochs"] == str(options.epochs)]))


if __name__ == "__main__":
    main()
