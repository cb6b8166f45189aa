"""Every criterion on the bundled digits at one learning rate: one-shot, one-shot and fine-tuned,
iterative; 3 seeds.

    python -m scripts.bench.methods [--transfer] [--epochs 8] [--seeds 3] [--output CSV]

Fine-tuning takes the same number of steps in every column. Iterative: a cubic schedule over the
first half of the epochs. Rows that the output holds already are not run again; docs/methods.csv has
what was measured here. Prints a table of validation accuracies in per cent: mean and deviation.

With --transfer a model that was trained on the digits 0 to 4 is pruned to 95 % while it learns 5 to
9, with masks that change every epoch or at every step: what Movement is for. By default 30 epochs
then, of half the length.
"""

import argparse
import contextlib
import csv
import statistics
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import torch
import yaml
from lightning import Callback, Trainer, seed_everything

from vitprune.data import Augmentation, ImageData
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
ARCHITECTURE = Path(__file__).parents[2] / "configs" / "pretrain_digits.yaml"
FIELDS = ("criterion", "sparsity", "column", "seed", "epochs", "accuracy")
LEARNING_RATE = 1e-3
PRETRAINING_EPOCHS = 40
STEPS = 9  # of an epoch with half of the digits


def run(criterion: str, sparsity: float, column: str, seed: int, epochs: int) -> dict[str, float]:
    """Return the validation accuracy of one run, by column: a one-shot run has that of before its fine-tuning, too."""
    seed_everything(seed, verbose=False)
    first = 1 if criterion == "Movement" else 0  # which scores what training did
    schedule = (
        OneShot(sparsity, begin=first)
        if column != "iterative"
        else Cubic(sparsity, end=epochs // 2, begin=first)
    )
    pruning = IterativePruning(schedule, CRITERIA[criterion]())
    train(
        ViTClassifier("digits", learning_rate=LEARNING_RATE),
        ImageData("digits", "digits"),
        epochs,
        [pruning],
    )
    last = pruning.state.rounds[-1]
    accuracies = {column: last.finetuned}
    if column == "one-shot, fine-tuned" and first == 0:
        accuracies["one-shot"] = last.pruned
    return accuracies


def train(
    model: ViTClassifier, data: ImageData, epochs: int, callbacks: Sequence[Callback] = ()
) -> float:
    """Return the validation accuracy at the end."""
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="auto",
        callbacks=[*callbacks, ExactResume()],
        check_val_every_n_epoch=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
    trainer.fit(model, data)
    return float(trainer.callback_metrics["val/accuracy"])


def some_digits(digits: range) -> ImageData:
    """Return the images of some digits, in ten classes all the same."""
    data = ImageData(
        "digits",
        "digits",
        augmentation=Augmentation(crop_scale=(0.6, 1.0), horizontal_flip=False),
    )
    for name, images in data.splits.items():
        data.splits[name] = images.filter(lambda label: label in digits, input_columns="label")
    return data


def random_model() -> ViTClassifier:
    """Return the architecture of the bundled model."""
    architecture = yaml.safe_load(ARCHITECTURE.read_text())["model"]["architecture"]
    return ViTClassifier(
        architecture=architecture, labels=[str(i) for i in range(10)], learning_rate=LEARNING_RATE
    )


@cache
def knows_half() -> dict[str, torch.Tensor]:
    """Return the weights of a model that was trained on 0 to 4."""
    seed_everything(42, verbose=False)
    model = random_model()
    print(f"on 0 to 4: {train(model, some_digits(range(5)), PRETRAINING_EPOCHS):.3f}", flush=True)
    return model.net.state_dict()


def transfer(
    criterion: str, sparsity: float, column: str, seed: int, epochs: int
) -> dict[str, float]:
    """Return the validation accuracy on 5 to 9, by column, of a model that knew 0 to 4."""
    weights = knows_half()
    seed_everything(seed, verbose=False)
    begin, end = epochs // 8, epochs // 2
    schedule = Cubic(sparsity, end, begin)
    if column == "masks change every step":
        schedule = Cubic(sparsity, end * STEPS, begin * STEPS, every=1, unit="step")
    model = random_model()
    model.net.load_state_dict(weights)
    with contextlib.redirect_stdout(None):  # a line for each round
        pruning = IterativePruning(schedule, CRITERIA[criterion](), monitor=None)
        return {column: train(model, some_digits(range(5, 10)), epochs, [pruning])}


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open())) if path.exists() else []


@dataclass(frozen=True)
class Table:
    """What is compared, and how a criterion is run at a sparsity, for a column, with a seed, in so many epochs."""

    criteria: Sequence[str]
    sparsities: Sequence[float]
    columns: Sequence[str]
    run: Callable[[str, float, str, int, int], dict[str, float]]


ON_EQUAL_TERMS = Table(
    tuple(CRITERIA), (0.8, 0.95), ("one-shot", "one-shot, fine-tuned", "iterative"), run
)
TRANSFER = Table(
    ("Random", "Magnitude", "Movement"),
    (0.95,),
    ("masks change every epoch", "masks change every step"),
    transfer,
)


def fill(path: Path, table: Table, epochs: int, seeds: int) -> None:
    columns = [
        column for column in table.columns if column != "one-shot"
    ]  # which comes with the next
    done = {tuple(row[field] for field in FIELDS[:-1]) for row in read(path)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if not done:
            writer.writerow(FIELDS)
        for seed, sparsity, criterion, column in product(
            range(seeds), table.sparsities, table.criteria, columns
        ):
            key = (criterion, str(sparsity), column, str(seed), str(epochs))
            if key in done:
                continue
            for name, accuracy in table.run(criterion, sparsity, column, seed, epochs).items():
                writer.writerow((*key[:2], name, *key[3:], round(accuracy, 6)))
            file.flush()
            print(*key, flush=True)


def show(rows: list[dict[str, str]], table: Table) -> str:
    heads = [
        f"{sparsity:.0%} {column}" for sparsity in table.sparsities for column in table.columns
    ]
    lines = ["| criterion | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for criterion in table.criteria:
        cells = [
            cell(rows, criterion, sparsity, column)
            for sparsity in table.sparsities
            for column in table.columns
        ]
        lines.append(f"| {criterion} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(rows: list[dict[str, str]], criterion: str, sparsity: float, column: str) -> str:
    wanted = {"criterion": criterion, "sparsity": str(sparsity), "column": column}
    values = [100 * float(row["accuracy"]) for row in rows if wanted.items() <= row.items()]
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}" if values else "-"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--transfer", action="store_true")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("lightning_logs/methods.csv"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    table, epochs = (
        (TRANSFER, options.epochs or 30)
        if options.transfer
        else (ON_EQUAL_TERMS, options.epochs or 8)
    )
    fill(options.output, table, epochs, options.seeds)
    print(show([row for row in read(options.output) if row["epochs"] == str(epochs)], table))


if __name__ == "__main__":
    main()
