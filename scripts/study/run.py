"""Train and score the rows of tables: a learning-rate search on one half of the validation images,
a score on the other.

    python scripts/study/run.py TABLE ... [--model FOLDER] [--source FOLDER]

TABLE is one of those in scripts/study/tables.py. Every training takes the same number of images;
those that the results hold already are not run again, and several processes may work on one table.
Results go to a folder of the budget, as lightning_logs/study/2000x4, and weights (22 MB each) to
`weights/` in there.
"""

import argparse
import time
from itertools import product
from pathlib import Path
from typing import Any

import torch
from arguments import add_budget, budget_of
from budget import Budget, Judge, Run
from journal import KEY, RESULTS, Journal, revision
from peers import layers_of
from rows import ROWS
from safetensors.torch import load_file
from tables import LEARNING_RATES, TABLES
from torch import Tensor, nn

from vitprune.evaluation.fingerprint import fingerprint
from vitprune.model.classes import find_classes
from vitprune.model.loading import build_net


def kept(net: nn.Module) -> int:
    """Return the number of weights that are there and not zero, in the layers that everybody prunes."""
    return sum(int(layer.weight.count_nonzero()) for layer in layers_of(net))


def with_weights(net: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
    """Give a model weights, all of them, though they may be smaller than its own: a layer is as wide as its weight."""
    if strange := weights.keys() ^ net.state_dict().keys():
        raise RuntimeError(
            f"not the weights of this model: {', '.join(sorted(strange))} differ; were the masks "
            "removed?"
        )
    for name, weight in weights.items():
        module, _, leaf = name.rpartition(".")
        setattr(net.get_submodule(module), leaf, nn.Parameter(weight))
    return net


def dense_model(budget: Budget) -> nn.Module:
    """Return what every row sets out from, or refuse a budget that does not go with its model and images."""
    net, images = build_net(budget.model, None, None), len(budget.data().splits["train"])
    if not find_classes(net.config.id2label, budget.labels):
        raise SystemExit(
            f"{budget.model} does not know the classes of the data by name: "
            f"{', '.join(budget.labels)}."
        )
    if images != budget.images:
        raise SystemExit(
            f"the budget has {budget.images} images and the data {images}: take as many as there "
            "are."
        )
    return build_net(budget.model, None, budget.labels)


class Study:
    """Trainings of one budget, each done once."""

    def __init__(self, budget: Budget, journal: Journal) -> None:
        self.budget, self.journal, self.judge, self.code = (
            budget,
            journal,
            Judge(budget),
            revision(),
        )
        dense = dense_model(budget)
        self.dense = kept(dense)
        journal.open(
            {
                "model": Path(budget.model).name,
                "weights": fingerprint(dense),
                "source": Path(budget.source).name,
                "subset": budget.subset,
                "images": budget.images,
                "epochs": budget.epochs,
                "batch_size": budget.batch_size,
                "precision": budget.precision,
                "device": budget.device.type,
                "threads": torch.get_num_threads(),
            }
        )

    def train(self, key: tuple[str, float, float, int]) -> bool:
        """Do a training unless it is done; return whether it is done now, or another process is at it."""
        with self.journal.claim(key) as mine:
            if not mine:
                return False
            if not self.journal.find("trained", key):
                line, weights = self._train(key)
                self.journal.keep_weights(key, weights)
                self.journal.add("trained", line)
        return True

    def _train(
        self, key: tuple[str, float, float, int]
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        row, sparsity, learning_rate, seed = key
        clock = time.perf_counter if self.budget.device.type == "cuda" else time.process_time
        start = clock()
        run = Run(self.budget, sparsity, learning_rate, seed)
        net = ROWS[row].train(run)
        seconds = round(clock() - start)
        if run.images_seen != self.budget.images_seen:
            raise RuntimeError(
                f"{row} was trained on {run.images_seen} images, and the budget is "
                f"{self.budget.images_seen}."
            )
        line = {
            **dict(zip(KEY, key, strict=True)),
            "images_seen": run.images_seen,
            "seconds": seconds,
            "reached": round(1 - kept(net) / self.dense, 6),
            "parameters": sum(int(parameter.count_nonzero()) for parameter in net.parameters()),
            "chosen": round(self.judge.accuracy(net, "choose"), 6),
            "code": self.code,
        }
        print(line, flush=True)
        return line, {name: weight.contiguous() for name, weight in net.state_dict().items()}

    def score(self, key: tuple[str, float, float, int]) -> bool:
        """Score a training that was chosen; return as `train` does."""
        with self.journal.claim(key) as mine:
            if mine and not self.journal.find("scored", key):
                path = self.journal.weights_of(key)
                if not path.exists():  # they are not kept with the tables
                    self._train_again(key)
                net = with_weights(
                    build_net(self.budget.model, None, self.budget.labels), load_file(path)
                )
                line = {
                    **dict(zip(KEY, key, strict=True)),
                    "scored": round(self.judge.accuracy(net, "score"), 6),
                }
                self.journal.add("scored", line)
                print(line, flush=True)
            return mine

    def _train_again(self, key: tuple[str, float, float, int]) -> None:
        before = float(self.journal.find("trained", key)["chosen"])
        line, weights = self._train(key)
        if line["chosen"] != before:
            raise SystemExit(
                f"the weights of {key} are gone, and trained again they reach {line['chosen']} and "
                f"not {before}, as with other versions or on another kind of machine: take their "
                f"line out of {self.journal.results / 'trained.csv'}, or take another --results."
            )
        self.journal.keep_weights(key, weights)

    def do(self, row: str, sparsity: float, seeds: int) -> bool:
        """Search, train and score a row; return whether all of it is done."""
        rate = self.search(row, sparsity)
        if rate is None:
            return False
        done = [
            self.train(key) and self.score(key)
            for key in product([row], [sparsity], [rate], range(seeds))
        ]
        return all(done)  # a seed that another process is at does not keep this one from the next

    def search(self, row: str, sparsity: float) -> float | None:
        """Return the best learning rate, better than both its neighbours; None while another process is at one of them."""
        first = (len(LEARNING_RATES) - 1) // 2
        wanted, tried = {first, first + 1}, set[int]()
        while wanted - tried:
            keys = [(row, sparsity, LEARNING_RATES[index], 0) for index in sorted(wanted - tried)]
            done = [self.train(key) for key in keys]
            if not all(done):
                return None
            tried |= wanted
            best = LEARNING_RATES.index(self.journal.best_rate(row, sparsity))
            wanted = {
                index for index in (best - 1, best, best + 1) if 0 <= index < len(LEARNING_RATES)
            }
        return LEARNING_RATES[best]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", metavar="TABLE", nargs="+", choices=TABLES)
    parser.add_argument("--results", type=Path, default=RESULTS)
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
        ROWS[row].check(budget)
    study = Study(budget, Journal(options.results / f"{options.images}x{options.epochs}"))
    while left:
        done = next((entry for entry in left if study.do(*entry)), None)
        if done:
            left.remove(done)
        else:
            time.sleep(10)  # all that is left is in other processes' hands
    print(f"all of {', '.join(options.tables)} is in {study.journal.results}; report.py prints it.")


if __name__ == "__main__":
    main()
