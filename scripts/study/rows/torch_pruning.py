"""Torch-Pruning: heads and neurons are physically removed."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from scripts.study.budget import CALIBRATION_IMAGES, Budget
from scripts.study.fine_tuning import FineTuning
from scripts.study.rows.row import Row, joined
from scripts.study.teacher import Teacher
from vitprune.model import ViTClassifier
from vitprune.model.anatomy.layers import find_layers
from vitprune.pruning.criteria.calibration import sample


@dataclass(frozen=True)
class TorchPruning(Row):
    """Remove heads and neurons with Torch-Pruning in one shot, then fine-tune.

    Heads and neurons are ranked separately, each over all layers. Torch-Pruning's Hugging Face
    example is written for transformers 4. Here the width of the residual stream is kept by ignoring
    every layer that writes to it, and heads are named by their query, key and value layers. The
    ranking is isomorphic: a single ranking for both kinds includes the dimensions of heads, which
    are not removed, and removes more neurons than asked for.

    Args:
        importance: `Taylor`, which its documentation advises for ViTs, or the L2 norm.
        teacher: The teacher of a distillation, if any.

    """

    importance: Literal["L2", "Taylor"]
    teacher: Teacher | None = None

    @property
    def name(self) -> str:
        """See the base class."""
        return joined("Torch-Pruning", self.importance, self.teacher.name if self.teacher else None)

    def check(self, budget: Budget) -> None:
        """Refuse a machine without Torch-Pruning.

        Raises:
            SystemExit: If it is not installed.

        """
        if find_spec("torch_pruning") is None:
            raise SystemExit("Torch-Pruning is not installed. Run `pip install torch-pruning`.")

    def train(self, tuning: FineTuning) -> nn.Module:
        """See the base class."""
        import torch_pruning  # an optional dependency of this row alone

        model = tuning.classifier(self.teacher)
        net = model.net
        heads = net.config.num_attention_heads
        importance = torch_pruning.importance.GroupMagnitudeImportance(p=2)
        if self.importance == "Taylor":
            gather_gradients(model, tuning)
            importance = torch_pruning.importance.GroupTaylorImportance()
        torch_pruning.pruner.BasePruner(
            net,
            torch.zeros(1, 3, net.config.image_size, net.config.image_size),
            importance,
            global_pruning=True,
            isomorphic=True,
            pruning_ratio=tuning.sparsity,
            ignored_layers=modules_by_role(net, "classifier", "patch_embed", "attn_out", "mlp_out"),
            num_heads=dict.fromkeys(modules_by_role(net, "query", "key", "value"), heads),
            prune_num_heads=True,
            prune_head_dims=False,
            head_pruning_ratio=tuning.sparsity,
            in_channel_groups={},  # the default is shared by the class and keeps all models alive
            out_channel_groups={},
            output_transform=lambda outputs: outputs.logits.sum(),
        ).step()
        net.zero_grad()
        model.train()  # tracing leaves it in evaluation mode
        tuning.fit(model, tuning.budget.data(), [])
        return net


def modules_by_role(net: nn.Module, *roles: str) -> list[nn.Module]:
    """Return the layers that have one of these roles."""
    return [layer.module for layer in find_layers(net) if layer.role in roles]


def gather_gradients(model: ViTClassifier, tuning: FineTuning) -> None:
    """Accumulate the gradients of the calibration images that our own Taylor criterion uses."""
    data = tuning.budget.data()
    model.eval()
    for batch, _ in sample(data.calibration_dataloader(), CALIBRATION_IMAGES, tuning.seed):
        batch = data.prepare(batch, torch.device("cpu"))
        F.cross_entropy(model(batch["pixel_values"]), batch["labels"]).backward()
