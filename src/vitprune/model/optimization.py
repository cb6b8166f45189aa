"""Optimizer groups and the learning-rate schedule."""

import math

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from vitprune.model.anatomy.layers import block_names, block_of


def parameter_groups(
    model: nn.Module, learning_rate: float, weight_decay: float, layer_decay: float = 1.0
) -> list[dict]:
    """Group the trainable parameters by weight decay and learning rate.

    Vectors (norms, biases) and the embeddings of class and position are not decayed. With
    `layer_decay` below 1 the learning rate falls by that factor from each block to the one below it
    (Clark et al. 2020; Bao et al. 2021).

    Args:
        model: Its parameters are taken in their order.
        learning_rate: That of the classifier, per step.
        weight_decay: Decoupled decay of the weight matrices.
        layer_decay: In (0, 1]; 1 gives every block the same learning rate.

    """
    depths = _depths(model)
    deepest = max(depths.values(), default=0)
    groups: dict[tuple[float, float], dict] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        decay = (
            weight_decay
            if parameter.ndim > 1 and "token" not in name and "position" not in name
            else 0.0
        )
        rate = learning_rate * layer_decay ** (deepest - depths[name])
        name = f"peak_{rate:g}_decay_{decay:g}"  # that of its learning rate among what is logged
        group = groups.setdefault(
            (rate, decay), {"name": name, "params": [], "lr": rate, "weight_decay": decay}
        )
        group["params"].append(parameter)
    return list(groups.values())


def _depths(model: nn.Module) -> dict[str, int]:
    """Return how deep each parameter lies: what comes before block 0 lies at 0, block b at b + 1,
    the rest one deeper.

    What stands between two blocks, to make the images smaller from stage to stage, belongs to the
    one before it.
    """
    blocks, depth, depths = block_names(model), 0, {}
    for name, _ in model.named_parameters():
        block = block_of(name, blocks)
        if block is not None:
            depth = block + 1
        elif depth == len(blocks):
            depth += 1
        depths[name] = depth
    return depths


class WarmupCosine(LambdaLR):
    """Raises the rate linearly to its peak over `warmup_steps`, then lowers it along half a cosine to 0 at `total_steps`."""

    def __init__(
        self, optimizer: torch.optim.Optimizer, warmup_steps: int, total_steps: int
    ) -> None:
        def factor(step: int) -> float:
            if step < warmup_steps:
                return (step + 1) / (warmup_steps + 1)
            done = (step - warmup_steps) / max(1, total_steps - warmup_steps)
            return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

        super().__init__(optimizer, factor)

    def set_peaks(self, groups: list[dict]) -> None:
        """Go on, at the step that is reached, with the rates and weight decays of other `parameter_groups`."""
        self.base_lrs = [group["lr"] for group in groups]
        for group, wanted, factor in zip(
            self.optimizer.param_groups, groups, self.lr_lambdas, strict=True
        ):
            group["weight_decay"], group["initial_lr"] = wanted["weight_decay"], wanted["lr"]
            group["lr"] = wanted["lr"] * factor(self.last_epoch)
