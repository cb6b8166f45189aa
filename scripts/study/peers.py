"""Other people's tools on the same model, images and budget, set up as their documentation says."""

from dataclasses import dataclass
from itertools import islice, pairwise

import torch
import torch.nn.functional as F
from budget import Run
from lightning.pytorch.callbacks import ModelPruning
from row import Row
from torch import nn
from torch.nn.utils import prune

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

    def train(self, run: Run) -> nn.Module:
        """See the class."""
        if run.budget.epochs % self.rounds:
            raise SystemExit(f"{self.rounds} rounds of whole epochs do not divide {run.budget.epochs} epochs.")
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
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
    a few epochs that throws the fine-tuning away, so it is a row of its own.
    """

    rounds: int
    rewound: bool = False

    def train(self, run: Run) -> nn.Module:
        """See the class."""
        if run.budget.epochs <= self.rounds:
            raise SystemExit(f"{self.rounds} rounds need at least {self.rounds + 1} epochs, or the last is not fine-tuned.")
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
    """Torch-Pruning: heads and neurons are cut out by L2 norm, one ranking over all layers, then fine-tuned.

    Its Hugging Face example is of transformers 4. Here the width of the residual stream is kept by ignoring every layer that
    writes to it, and heads are named by their query, key and value layers; nothing else has to be told.
    """

    def train(self, run: Run) -> nn.Module:
        """See the class."""
        import torch_pruning  # only this row needs it

        model = run.classifier()
        layers: dict[str, list[nn.Module]] = {}
        for layer in find_layers(model.net):
            layers.setdefault(layer.role, []).append(layer.module)
        size, heads = model.net.config.image_size, model.net.config.num_attention_heads
        torch_pruning.pruner.BasePruner(
            model.net,
            torch.zeros(1, 3, size, size),
            torch_pruning.importance.GroupMagnitudeImportance(p=2),
            global_pruning=True,
            pruning_ratio=run.sparsity,
            ignored_layers=[m for role in ("classifier", "patch_embed", "attn_out", "mlp_out") for m in layers[role]],
            num_heads={module: heads for role in ("query", "key", "value") for module in layers[role]},
            prune_num_heads=True,
            prune_head_dims=False,
            head_pruning_ratio=run.sparsity,
            output_transform=lambda outputs: outputs.logits.sum(),
        ).step()
        run.fit(model, run.budget.data(), [])
        return model.net
