"""Search the learning rate of a row, train it, and evaluate it at the best rate."""

import time

from safetensors.torch import load_file
from torch import Tensor

from scripts.study.budget import Budget
from scripts.study.conditions import Conditions
from scripts.study.fine_tuning import FineTuning
from scripts.study.journal import Journal
from scripts.study.judge import Judge
from scripts.study.lines import Key, Score, Training
from scripts.study.models import count_nonzero, dense_model, load_weights
from scripts.study.revision import revision
from scripts.study.rows.row import Row
from scripts.study.tables import LEARNING_RATES
from vitprune.model.loading import build_net


class Study:
    """The trainings of one budget, each done once and by one process.

    Args:
        budget: The budget.
        journal: Where the results are.

    """

    def __init__(self, budget: Budget, journal: Journal) -> None:
        self.budget = budget
        self.journal = journal
        self.judge = Judge(budget)
        self.code = revision()
        dense = dense_model(budget)
        self.dense_weights = count_nonzero(dense)
        journal.open(Conditions.of(budget, dense))

    def complete(self, row: Row, sparsity: float, seeds: int) -> bool:
        """Search, train and evaluate a row with some seeds; return whether all of it is done.

        What another process is working on is left to it.
        """
        rate = self.search(row, sparsity)
        if rate is None:
            return False
        keys = [Key(row.name, sparsity, rate, seed) for seed in range(seeds)]
        done = [self.train(row, key) and self.score(row, key) for key in keys]
        return all(done)

    def search(self, row: Row, sparsity: float) -> float | None:
        """Return the best learning rate: better than both of its neighbours.

        The search starts in the middle of the rates. It returns None while another process trains
        at one of the rates.
        """
        first = (len(LEARNING_RATES) - 1) // 2
        wanted = {first, first + 1}
        tried: set[int] = set()
        while wanted - tried:
            rates = [LEARNING_RATES[index] for index in sorted(wanted - tried)]
            done = [self.train(row, Key(row.name, sparsity, rate, seed=0)) for rate in rates]
            if not all(done):
                return None
            tried |= wanted
            best = LEARNING_RATES.index(self.journal.best_rate(row.name, sparsity))
            wanted = {best - 1, best, best + 1} & set(range(len(LEARNING_RATES)))
        return LEARNING_RATES[best]

    def train(self, row: Row, key: Key) -> bool:
        """Train unless the journal has the training; return False if another process trains it."""
        with self.journal.claim(key) as claimed:
            if claimed and not self.journal.training(key):
                training, weights = self._train(row, key)
                self.journal.save_weights(key, weights)
                self.journal.trained.append(training)
            return claimed

    def score(self, row: Row, key: Key) -> bool:
        """Evaluate a training on the reported half; return as `train` does."""
        with self.journal.claim(key) as claimed:
            if claimed and not self.journal.score(key):
                path = self.journal.weights_path(key)
                if not path.exists():
                    self._train_again(row, key)
                net = build_net(self.budget.model, None, self.budget.labels)
                load_weights(net, load_file(path))
                accuracy = self.judge.accuracy(net, "score")
                self.journal.scored.append(Score(key, round(accuracy, 6)))
                print(f"{_label(key)}: {accuracy:.2%} on the reported half", flush=True)
            return claimed

    def _train(self, row: Row, key: Key) -> tuple[Training, dict[str, Tensor]]:
        clock = time.perf_counter if self.budget.device.type == "cuda" else time.process_time
        start = clock()
        tuning = FineTuning(self.budget, key.sparsity, key.learning_rate, key.seed)
        net = row.train(tuning)
        seconds = round(clock() - start)
        if tuning.images_seen != self.budget.images_seen:
            raise RuntimeError(
                f"{row.name} was trained on {tuning.images_seen} images; the budget is "
                f"{self.budget.images_seen}."
            )
        training = Training(
            key,
            images_seen=tuning.images_seen,
            seconds=seconds,
            reached=round(1 - count_nonzero(net) / self.dense_weights, 6),
            parameters=sum(int(parameter.count_nonzero()) for parameter in net.parameters()),
            chosen=round(self.judge.accuracy(net, "choose"), 6),
            code=self.code,
        )
        print(
            f"{_label(key)}: {training.chosen:.2%} on the choosing half, sparsity "
            f"{training.reached:.2%}, {seconds} s",
            flush=True,
        )
        return training, {name: weight.contiguous() for name, weight in net.state_dict().items()}

    def _train_again(self, row: Row, key: Key) -> None:
        """Restore weights that were deleted, and refuse them if they are not the same."""
        before = self.journal.training(key)
        after, weights = self._train(row, key)
        if before is None or after.chosen != before.chosen:
            raise SystemExit(
                f"{self.journal.weights_path(key)} is missing, and retraining gives another model: "
                f"accuracy {after.chosen} and not {before.chosen if before else None}. Other "
                "library versions or another kind of machine do that. Delete the line of this "
                f"training from {self.journal.trained.path}, or set --results to another folder."
            )
        self.journal.save_weights(key, weights)


def _label(key: Key) -> str:
    return f"{key.row}, {key.sparsity:.0%}, learning rate {key.learning_rate:g}, seed {key.seed}"
