"""What a pruned model takes for something else that the dense one still saw right."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from vitprune.data import ImageData


@dataclass(frozen=True)
class ClassChange:
    """One class: how many of its images there are, and the share that each model gets right."""

    name: str
    images: int
    dense: float
    pruned: float


@dataclass(frozen=True)
class Predictions:
    """The classes of images, and what the dense and the pruned model take them for, by number."""

    labels: list[int]
    dense: list[int]
    pruned: list[int]
    names: Sequence[str]

    def class_changes(self) -> list[ClassChange]:
        """Return every class that there are images of, the one that lost most first."""
        changes = []
        for number, name in enumerate(self.names):
            mine = [i for i, label in enumerate(self.labels) if label == number]
            if mine:
                right = [
                    sum(guesses[i] == number for i in mine) / len(mine)
                    for guesses in (self.dense, self.pruned)
                ]
                changes.append(ClassChange(name, len(mine), *right))
        return sorted(changes, key=lambda change: change.pruned - change.dense)

    def new_confusions(self) -> list[tuple[str, str, int]]:
        """Return (class, taken for, images) for what only the pruned model gets wrong, the most frequent first."""
        guesses = zip(self.labels, self.dense, self.pruned, strict=True)
        wrong = Counter(
            (label, pruned) for label, dense, pruned in guesses if dense == label != pruned
        )
        return [
            (self.names[label], self.names[pruned], count)
            for (label, pruned), count in wrong.most_common()
        ]


@torch.no_grad()
def predict(dense: nn.Module, pruned: nn.Module, data: ImageData, images: int) -> Predictions:
    """Let both models classify the first validation images, about so many (whole batches)."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    nets = [net.to(device).eval() for net in (dense, pruned)]
    labels: list[int] = []
    guesses: tuple[list[int], list[int]] = ([], [])
    for batch in data.validation_batches(device, -(-images // data.batch_size)):
        labels += batch["labels"].tolist()
        for net, mine in zip(nets, guesses, strict=True):
            mine += net(pixel_values=batch["pixel_values"]).logits.argmax(dim=1).tolist()
    return Predictions(labels, *guesses, data.class_names or [])
