"""Other people's tools on the same model, images and budget, set up as their documentation says."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from budget import Run
from lightning.pytorch.callbacks import ModelPruning
from row import Row
from torch import nn
from torch.nn.utils import prune

from vitprune.pruning import LayerSelection


def layers_of(net: nn.Module) -> list[nn.Module]:
    """The layers that everybody prunes: every linear layer but the classifier."""
    return [layer.module for layer in LayerSelection().select(net)]


def relative(sparsity: float, rounds: int) -> list[float]:
    """Return the share of the remaining weights to take in each of `rounds` rounds that grow the sparsity equally."""
    levels = [sparsity * r / rounds for r in range(rounds + 1)]
    return [1 - (1 - after) / (1 - before) for before, after in zip(levels, levels[1:], strict=False)]


@dataclass(frozen=True)
class Article(Row):
    """`torch.nn.utils.prune.l1_unstructured` on each layer, then a plain loop with AdamW at a constant rate; again each round."""

    rounds: int

    def train(self, run: Run) -> nn.Module:
        """See the class."""
        net = run.classifier().net
        data = run.budget.data()
        data.seed = run.seed
        loader = data.train_dataloader()
        epochs = iter(range(run.budget.epochs))
        for amount in relative(run.sparsity, self.rounds):
            for layer in layers_of(net):
                prune.l1_unstructured(layer, "weight", amount)
            optimizer = torch.optim.AdamW(net.parameters(), run.learning_rate)
            for _ in range(run.budget.epochs // self.rounds):
                loader.sampler.set_epoch(next(epochs))
                for batch in loader:
                    images = data.prepare(batch, torch.device("cpu"))
                    with torch.autocast("cpu", torch.bfloat16, enabled=run.budget.precision == "bf16-mixed"):
                        logits = net(pixel_values=images["pixel_values"]).logits
                        loss = F.cross_entropy(logits, images["labels"])
                    loss.backward()
                    optimizer.step()
                    optimizer.zero_grad()
        for layer in layers_of(net):
            prune.remove(layer, "weight")
        return net


@dataclass(frozen=True)
class LightningModelPruning(Row):
    """Lightning's callback, its defaults but for the layers; it prunes at the ends of epochs, and not after the last one."""

    rounds: int

    def train(self, run: Run) -> nn.Module:
        """See the class."""
        model = run.classifier()
        amounts = dict(enumerate(relative(run.sparsity, self.rounds)))
        pruning = ModelPruning(
            "l1_unstructured",
            [(layer, "weight") for layer in layers_of(model.net)],
            amount=lambda epoch: amounts.get(epoch, 0.0),
        )
        run.fit(model, run.budget.data(), [pruning])
        return model.net
