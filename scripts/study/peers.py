"""Other people's tools on the same model, images and budget, set up as their documentation says."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice, pairwise

import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import ModelPruning
from torch import nn
from torch.nn.utils import prune

from scripts.study.budget import Budget, Run
from scripts.study.row import Row
from vitprune.model import ViTClassifier
from vitprune.model.anatomy.layers import find_layers
from vitprune.model.distillation import Distillation
from vitprune.pruning import LayerSelection
from vitprune.pruning.criteria.calibration import sample

CALIBRATION_IMAGES = (
    256  # what scores that learn from data see of them, unless a row says otherwise
)


def layers_of(net: nn.Module) -> list[nn.Module]:
    """The layers that everybody prunes: every linear layer but the classifier."""
    return [layer.module for layer in LayerSelection().select(net)]


def relative(sparsity: float, rounds: int) -> list[float]:
    """Return the share of the remaining weights to take in each of `rounds` rounds that grow the sparsity equally."""
    levels = [sparsity * r / rounds for r in range(rounds + 1)]
    return [1 - (1 - after) / (1 - before) for before, after in pairwise(levels)]


@dataclass(frozen=True)
class Article(Row):
    """`torch.nn.utils.prune.l1_unstructured` on each layer and a plain loop with a new AdamW at a constant rate, in turns."""

    rounds: int

    def check(self, budget: Budget) -> None:
        """See the base class."""
        if budget.epochs % self.rounds:
            raise SystemExit(
                f"{self.rounds} rounds of whole epochs do not divide {budget.epochs} epochs."
            )

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
                    with run.budget.autocast():
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
    """Lightning's callback, as it comes: one L1 ranking over all layers, at the end of each of the
    first epochs.

    A fixed amount is its documented use, and means a fraction of what remains: the largest that
    ends at the sparsity asked for. By default it also puts every layer back to its pretrained
    weights after each round, in the name of the lottery ticket. With a few epochs that throws the
    fine-tuning away, so it is a row of its own. (On a CPU it does so after the first round alone:
    what it puts back there is its own copy, which training then changes.)
    """

    rounds: int
    rewound: bool = False
    distillation: Callable[[], Distillation] | None = None

    def check(self, budget: Budget) -> None:
        """See the base class."""
        if budget.epochs <= self.rounds:
            raise SystemExit(
                f"{self.rounds} rounds need at least {self.rounds + 1} epochs, or the last is not "
                "fine-tuned."
            )

    def train(self, run: Run) -> nn.Module:
        """See the class."""
        model = run.classifier(self.distillation)
        pruning = ModelPruning(
            "l1_unstructured",
            [(layer, "weight") for layer in layers_of(model.net)],
            amount=1 - (1 - run.sparsity) ** (1 / self.rounds),
            apply_pruning=lambda epoch: epoch < self.rounds,
            use_lottery_ticket_hypothesis=self.rewound,
        )
        run.fit(model, run.budget.data(), [pruning])
        return model.net


@dataclass(frozen=True)
class TorchPruning(Row):
    """Torch-Pruning: heads and neurons are cut out, each in a ranking of their own over all layers,
    then fine-tuned.

    Its Hugging Face example is of transformers 4. Here the width of the residual stream is kept by
    ignoring every layer that writes to it, heads are named by their query, key and value layers,
    and the ranking is isomorphic: in one for both kinds the dimensions of heads take part though
    they are not cut, and more neurons fall than asked for.
    """

    taylor: bool  # its documentation's advice for ViTs, else the L2 norm
    distillation: Callable[[], Distillation] | None = None

    def check(self, budget: Budget) -> None:
        """See the base class."""
        if find_spec("torch_pruning") is None:
            raise SystemExit("Torch-Pruning is not installed: pip install torch-pruning")

    def train(self, run: Run) -> nn.Module:
        """See the class."""
        import torch_pruning  # only this row needs it

        model = run.classifier(self.distillation)
        net, heads = model.net, model.net.config.num_attention_heads
        importance = torch_pruning.importance.GroupMagnitudeImportance(p=2)
        if self.taylor:
            _gather_gradients(model, run)
            importance = torch_pruning.importance.GroupTaylorImportance()
        torch_pruning.pruner.BasePruner(
            net,
            torch.zeros(1, 3, net.config.image_size, net.config.image_size),
            importance,
            global_pruning=True,
            isomorphic=True,
            pruning_ratio=run.sparsity,
            ignored_layers=_by_role(net, "classifier", "patch_embed", "attn_out", "mlp_out"),
            num_heads=dict.fromkeys(_by_role(net, "query", "key", "value"), heads),
            prune_num_heads=True,
            prune_head_dims=False,
            head_pruning_ratio=run.sparsity,
            in_channel_groups={},  # by default one of the class, which keeps the layers of every model
            out_channel_groups={},
            output_transform=lambda outputs: outputs.logits.sum(),
        ).step()
        net.zero_grad()
        run.fit(model.train(), run.budget.data(), [])  # tracing left it in evaluation mode
        return net


def _by_role(net: nn.Module, *roles: str) -> list[nn.Module]:
    return [layer.module for layer in find_layers(net) if layer.role in roles]


def _gather_gradients(model: ViTClassifier, run: Run) -> None:
    """Leave the gradients of some training images in a model, as our own Taylor score sees them."""
    data = run.budget.data()
    model.eval()
    for batch, _ in sample(data.calibration_dataloader(), CALIBRATION_IMAGES, run.seed):
        batch = data.prepare(batch, torch.device("cpu"))
        F.cross_entropy(model(batch["pixel_values"]), batch["labels"]).backward()
