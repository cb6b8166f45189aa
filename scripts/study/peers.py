"""Other people's tools on the same model, images and budget, set up as their documentation says."""

from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice, pairwise
from typing import Any

import torch
import torch.nn.functional as F
from budget import Budget, Run
from lightning.pytorch.callbacks import ModelPruning
from row import Row
from torch import nn
from torch.nn.utils import prune
from transformers import PreTrainedModel

from vitprune.model.layers import find_layers
from vitprune.pruning import LayerSelection


def layers_of(net: nn.Module) -> list[nn.Module]:
    """The layers that everybody prunes: every linear layer but the classifier."""
    return [layer.module for layer in LayerSelection().select(net)]


def relative(sparsity: float, rounds: int) -> list[float]:
    """Return the share of the remaining weights to take in each of `rounds` rounds that grow the sparsity equally."""
    levels = [sparsity * r / rounds for r in range(rounds + 1)]
    return [1 - (1 - after) / (1 - before) for before, after in pairwise(levels)]


@dataclass(frozen=True)
class Article(Row):
    """`torch.nn.utils.prune.l1_unstructured` on each layer and a plain loop with AdamW at a constant rate, in turns."""

    rounds: int

    def check(self, budget: Budget) -> None:
        """See the base class."""
        if budget.epochs % self.rounds:
            raise SystemExit(f"{self.rounds} rounds of whole epochs do not divide {budget.epochs} epochs.")

    def train(self, run: Run) -> nn.Module:
        """See the class."""
        device = run.budget.device
        net = run.classifier().net.to(device)
        data = run.budget.data()
        loader = data.train_dataloader()
        epochs = iter(range(run.budget.epochs))
        for amount in relative(run.sparsity, self.rounds):
            for layer in layers_of(net):
                prune.l1_unstructured(layer, "weight", amount)
            optimizer = torch.optim.AdamW(net.parameters(), run.learning_rate)
            for epoch in islice(epochs, run.budget.epochs // self.rounds):
                loader.sampler.set_epoch(epoch)
                for batch in loader:
                    images = data.prepare(batch, device)
                    with torch.autocast(device.type, torch.bfloat16, enabled=run.budget.precision == "bf16-mixed"):
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
    """Lightning's callback, with one ranking over all layers as is its default, at the ends of the first epochs.

    By default it also puts every layer back to its pretrained weights after each round, in the name of the lottery ticket. With
    a few epochs that throws the fine-tuning away, so it is a row of its own. (On a CPU it does so after the first round alone:
    what it puts back there is its own copy, which training then changes.)
    """

    rounds: int
    rewound: bool = False

    def check(self, budget: Budget) -> None:
        """See the base class."""
        if budget.epochs <= self.rounds:
            raise SystemExit(f"{self.rounds} rounds need at least {self.rounds + 1} epochs, or the last is not fine-tuned.")

    def train(self, run: Run) -> nn.Module:
        """See the class."""
        model = run.classifier()
        amounts = dict(enumerate(relative(run.sparsity, self.rounds)))
        pruning = ModelPruning(
            "l1_unstructured",
            [(layer, "weight") for layer in layers_of(model.net)],
            amount=lambda epoch: amounts.get(epoch, 0.0),
            use_lottery_ticket_hypothesis=self.rewound,
        )
        run.fit(model, run.budget.data(), [pruning])
        return model.net


@dataclass(frozen=True)
class TorchPruning(Row):
    """Torch-Pruning: heads and then neurons are cut out by L2 norm, each in one ranking over all layers, then fine-tuned.

    Its Hugging Face example is of transformers 4. Here the width of the residual stream is kept by ignoring every layer that
    writes to it, and heads are named by their query, key and value layers. In one ranking of both kinds the dimensions of heads
    would take part though they are not cut, and more neurons fall than asked for.
    """

    def check(self, budget: Budget) -> None:
        """See the base class."""
        if find_spec("torch_pruning") is None:
            raise SystemExit("Torch-Pruning is not installed: pip install 'vitprune[study]'.")

    def train(self, run: Run) -> nn.Module:
        """See the class."""
        model = run.classifier()
        heads = model.net.config.num_attention_heads
        attention = {module: heads for role in ("query", "key", "value") for module in _by_role(model.net, role)}
        _cut(model.net, run.sparsity, _by_role(model.net, "mlp_in"), num_heads=attention, head_pruning_ratio=run.sparsity)
        _cut(model.net, run.sparsity, list(attention))
        run.fit(model, run.budget.data(), [])
        return model.net


def _by_role(net: nn.Module, *roles: str) -> list[nn.Module]:
    return [layer.module for layer in find_layers(net) if layer.role in roles]


def _cut(net: PreTrainedModel, sparsity: float, ignored: list[nn.Module], **heads: Any) -> None:
    import torch_pruning  # only this row needs it

    writing = _by_role(net, "classifier", "patch_embed", "attn_out", "mlp_out")
    torch_pruning.pruner.BasePruner(
        net,
        torch.zeros(1, 3, net.config.image_size, net.config.image_size),
        torch_pruning.importance.GroupMagnitudeImportance(p=2),
        global_pruning=True,
        pruning_ratio=sparsity,
        ignored_layers=[*writing, *ignored],
        prune_num_heads=bool(heads),
        prune_head_dims=False,
        output_transform=lambda outputs: outputs.logits.sum(),
        **heads,
    ).step()
