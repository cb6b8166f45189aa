"""The article's method: `torch.nn.utils.prune` and a plain training loop."""

from dataclasses import dataclass
from itertools import islice, pairwise
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import prune
from torch.utils.data import DistributedSampler

from scripts.study.budget import Budget
from scripts.study.fine_tuning import FineTuning
from scripts.study.models import prunable_layers
from scripts.study.rows.row import Row, joined


@dataclass(frozen=True)
class Article(Row):
    """Prune each layer by L1 magnitude, then train in a plain loop; repeat for every round.

    The optimizer is AdamW at its defaults and a constant learning rate, new after each round.

    Args:
        rounds: Pruning rounds with equal increments of the sparsity; they divide the epochs
            equally. 1 is one-shot pruning.

    """

    uses_trainer: ClassVar[bool] = False

    rounds: int

    @property
    def name(self) -> str:
        """See the base class."""
        return joined("the article", f"{self.rounds} rounds" if self.rounds > 1 else "one-shot")

    def check(self, budget: Budget) -> None:
        """Refuse epochs that the rounds do not divide.

        Raises:
            SystemExit: If the number of epochs is not a multiple of the number of rounds.

        """
        if budget.epochs % self.rounds:
            raise SystemExit(
                f"{self.name}: {budget.epochs} epochs are not a multiple of {self.rounds} rounds. "
                f"Set --epochs to a multiple of {self.rounds}."
            )

    def train(self, tuning: FineTuning) -> nn.Module:
        """See the base class."""
        device = tuning.budget.device
        net = tuning.classifier().net.to(device)
        layers = prunable_layers(net)
        data = tuning.budget.data()
        loader = data.train_dataloader()
        sampler = cast(DistributedSampler, loader.sampler)
        epochs = iter(range(tuning.budget.epochs))
        for amount in relative_amounts(tuning.sparsity, self.rounds):
            for layer in layers:
                prune.l1_unstructured(layer, "weight", amount)
            optimizer = torch.optim.AdamW(net.parameters(), tuning.learning_rate)
            for epoch in islice(epochs, tuning.budget.epochs // self.rounds):
                sampler.set_epoch(epoch)
                for batch in loader:
                    images = data.prepare(batch, device)
                    with tuning.budget.autocast():
                        logits = net(pixel_values=images["pixel_values"]).logits
                        loss = F.cross_entropy(logits, images["labels"])
                    loss.backward()
                    optimizer.step()
                    optimizer.zero_grad()
        for layer in layers:
            prune.remove(layer, "weight")
        return net


def relative_amounts(sparsity: float, rounds: int) -> list[float]:
    """Return the fraction of the remaining weights to prune in each round.

    After every round the absolute sparsity has grown by the same increment.
    """
    levels = [sparsity * r / rounds for r in range(rounds + 1)]
    return [1 - (1 - after) / (1 - before) for before, after in pairwise(levels)]
