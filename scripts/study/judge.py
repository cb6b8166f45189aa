"""Accuracy on two halves of the validation images: one chooses learning rates, one is reported."""

from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from datasets import Dataset
from torch import nn
from torch.utils.data import DataLoader

from scripts.study.budget import Budget
from vitprune.data import ImageData
from vitprune.training.evaluate import evaluate

Half = Literal["choose", "score"]
HALVES: tuple[Half, Half] = ("choose", "score")
SPLIT_SEED = 42  # of the split of the validation images into halves


@dataclass(frozen=True)
class Judge:
    """Evaluate models on one half of the validation images of a budget."""

    budget: Budget

    @cached_property
    def halves(self) -> dict[Half, tuple[ImageData, DataLoader]]:
        """The data and the loader of each half."""
        loaders: dict[Half, tuple[ImageData, DataLoader]] = {}
        for part, half in enumerate(HALVES):
            data = self.budget.data()
            images: Dataset = data.splits["validation"]
            shuffled = images.shuffle(seed=SPLIT_SEED)
            data.splits["validation"] = shuffled.shard(2, part, contiguous=True)
            loaders[half] = (data, data.whole_validation())
        return loaders

    def accuracy(self, net: nn.Module, half: Half) -> float:
        """Return the accuracy on one half, in [0, 1].

        `choose` is evaluated in the precision of the training and `score` in float32, which takes
        twice as long and is needed once.
        """
        data, loader = self.halves[half]
        device = self.budget.device
        net = net.eval().to(device)
        batches = (data.prepare(batch, device) for batch in loader)
        with self.budget.autocast() if half == "choose" else nullcontext():
            return evaluate(lambda images: net(pixel_values=images).logits, batches).accuracy
