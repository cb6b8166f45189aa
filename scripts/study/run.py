"""Train and score the rows of a table: a learning-rate search on one half of the validation images, a score on the other.

    python scripts/study/run.py TABLE [--model FOLDER] [--source FOLDER] [--threads 1]

TABLE is one of those in scripts/study/tables.py. Every training takes the same number of images; those that the results
hold already are not run again, and several processes may work on one table. They go to a folder of the budget, as
docs/study/2000x4, and weights (22 MB each) to `weights/` in there.
"""

import argparse
import time
import warnings
from itertools import product
from pathlib import Path
from typing import Any

import torch
from budget import Budget, Judge, Run, native_precision
from journal import KEY, Journal
from peers import layers_of
from rows import ROWS
from safetensors.torch import load_file
from tables import LEARNING_RATES, TABLES
from torch import Tensor, nn

from vitprune.model.classes import find_classes
from vitprune.model.loading import build_net

IMAGENETTE = "frgfm/imagenette"


def kept(net: nn.Module) -> int:
    """Return the number of weights that are there and not zero, in the layers that everybody prunes."""
    return sum(int(layer.weight.count_nonzero()) for layer in layers_of(net))


def with_weights(net: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
    """Give a model weights, which may be fewer than its own: a layer is as wide as its weight."""
    for name, weight in weights.items():
        module, _, leaf = name.rpartition(".")
        setattr(net.get_submodule(module), leaf, nn.Parameter(weight))
    return net


class Study:
    """Trainings of one budget, each done once."""

    def __init__(self, budget: Budget, journal: Journal) -> None:
        self.budget, self.journal, self.judge = budget, journal, Judge(budget)
        dense, images = build_net(budget.model, None, None), len(budget.data().splits["train"])
        if not find_classes(dense.config.id2label, budget.labels):
            raise SystemExit(f"{budget.model} does not know the classes of the data by name: {', '.join(budget.labels)}.")
        if images != budget.images:
            raise SystemExit(f"the budget has {budget.images} images and the data {images}: take as many as there are.")
        self.dense = kept(dense)
        journal.open(
            {
                "model": Path(budget.model).name,
                "source": Path(budget.source).name,
                "subset": budget.subset,
                "images": budget.images,
                "epochs": budget.epochs,
                "batch_size": budget.batch_size,
                "precision": budget.precision,
                "device": budget.device.type,
            }
        )

    def train(self, key: tuple[str, float, float, int]) -> bool:
        """Do a training unless it is done; return whether it is done now, or another process is at it."""
        with self.journal.claim(key) as mine:
            if not mine:
                return False
            if not self.journal.find("trained", key):
                self.journal.add("trained", self._train(key))
        return True

    def _train(self, key: tuple[str, float, float, int]) -> dict[str, Any]:
        row, sparsity, learning_rate, seed = key
        clock = time.perf_counter if self.budget.device.type == "cuda" else time.process_time
        start = clock()
        run = Run(self.budget, sparsity, learning_rate, seed)
        net = ROWS[row].train(run)
        seconds = round(clock() - start)
        if run.images_seen != self.budget.images_seen:
            raise RuntimeError(f"{row} was trained on {run.images_seen} images, and the budget is {self.budget.images_seen}.")
        self.journal.keep_weights(key, {name: weight.contiguous() for name, weight in net.state_dict().items()})
        line = {
            **dict(zip(KEY, key, strict=True)),
            "images_seen": run.images_seen,
            "seconds": seconds,
            "reached": round(1 - kept(net) / self.dense, 6),
            "parameters": sum(int(parameter.count_nonzero()) for parameter in net.parameters()),
            "chosen": round(self.judge.accuracy(net, "choose"), 6),
        }
        print(line, flush=True)
        return line

    def score(self, key: tuple[str, float, float, int]) -> bool:
        """Score a training that was chosen; return as `train` does."""
        with self.journal.claim(key) as mine:
            if mine and not self.journal.find("scored", key):
                path = self.journal.weights_of(key)
                if not path.exists():  # they are not kept with the tables
                    self._train_again(key)
                net = with_weights(build_net(self.budget.model, None, self.budget.labels), load_file(path))
                line = {**dict(zip(KEY, key, strict=True)), "scored": round(self.judge.accuracy(net, "score"), 6)}
                self.journal.add("scored", line)
                print(line, flush=True)
            return mine

    def _train_again(self, key: tuple[str, float, float, int]) -> None:
        before, again = float(self.journal.find("trained", key)["chosen"]), self._train(key)["chosen"]
        if again != before:
            raise SystemExit(
                f"the weights of {key} are gone, and trained again they reach {again} and not {before}, as on another kind of "
                f"machine: take their line out of {self.journal.results / 'trained.csv'}, or take another --results."
            )

    def do(self, row: str, sparsity: float, seeds: int) -> bool:
        """Search, train and score a row; return whether all of it is done."""
        rate = self.search(row, sparsity)
        done = rate is not None and [
            self.train(key) and self.score(key) for key in product([row], [sparsity], [rate], range(seeds))
        ]
        return bool(done) and all(done)

    def search(self, row: str, sparsity: float) -> float | None:
        """Return the best learning rate, from two neighbours on and towards the better; None while another process is at it."""
        first = (len(LEARNING_RATES) - 1) // 2
        tried = [first, first + 1]
        while True:
            keys = [(row, sparsity, LEARNING_RATES[index], 0) for index in tried]
            for key in keys:
                self.train(key)
            lines = [self.journal.find("trained", key) for key in keys]  # some perhaps by another process meanwhile
            if not all(lines):
                return None
            chosen = [float(line["chosen"]) for line in lines]
            best = tried[chosen.index(max(chosen))]
            further = {min(tried): min(tried) - 1, max(tried): max(tried) + 1}.get(best, -1)
            if not 0 <= further < len(LEARNING_RATES):
                return LEARNING_RATES[best]
            tried.append(further)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--model", default="facebook/deit-tiny-patch16-224")
    parser.add_argument("--source", default=IMAGENETTE)
    parser.add_argument("--subset", help="configuration of the source, where it has several; full_size of the default")
    parser.add_argument("--images", type=int, default=Budget.images)
    parser.add_argument("--epochs", type=int, default=Budget.epochs)
    parser.add_argument(
        "--precision", default=native_precision(), help="by default bf16-mixed where it is native, else 32-true"
    )
    parser.add_argument("--results", type=Path, default=Path("docs/study"))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    subset = options.subset or ("full_size" if options.source == IMAGENETTE else None)
    settings = {"subset": subset, "precision": options.precision}
    budget = Budget(options.model, options.source, options.images, options.epochs, **settings)
    for row in {row for table in TABLES[options.table] for row in table.rows}:
        ROWS[row].check(budget)
    study = Study(budget, Journal(options.results / f"{options.images}x{options.epochs}"))
    left = [
        (row, sparsity, table.seeds) for table in TABLES[options.table] for sparsity in table.sparsities for row in table.rows
    ]
    while left:
        done = next((entry for entry in left if study.do(*entry)), None)
        if done:
            left.remove(done)
        else:
            time.sleep(10)  # all that is left is in other processes' hands


if __name__ == "__main__":
    main()
