"""Optimizer groups and the learning-rate schedule."""

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from vitprune.model.anatomy.layers import block_names, block_of, find_layers
from vitprune.model.anatomy.names import STAGE_PATTERN


def parameter_groups(
    model: nn.Module, learning_rate: float, weight_decay: float, layer_decay: float = 1.0
) -> list[dict]:
    """Group the trainable parameters by weight decay and learning rate.

    Linear and convolutional weights are decayed, and nothing else: not norms, biases, tokens,
    position embeddings or scales. With `layer_decay` below 1, the learning rate is multiplied by it
    from each block to the one below.

    Source: Clark et al. 2020; Bao et al. 2021.

    Args:
        model: Model whose parameters are grouped, in their order.
        learning_rate: Learning rate of the classification head.
        weight_decay: Decoupled weight decay of linear and convolutional weights.
        layer_decay: In (0, 1]; 1 gives every block the same learning rate.

    """
    decayed = {layer.weight for layer in find_layers(model)}  # tensors are hashed by identity
    depths = _depths(model)
    deepest = max(depths.values(), default=0)
    groups: dict[tuple[float, float], dict] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        decay = weight_decay if parameter in decayed else 0.0
        rate = learning_rate * layer_decay ** (deepest - depths[name])
        name = f"peak_{rate:g}_decay_{decay:g}"  # shown in the logs of the learning rate
        group = groups.setdefault(
            (rate, decay), {"name": name, "params": [], "lr": rate, "weight_decay": decay}
        )
        group["params"].append(parameter)
    return list(groups.values())


def _depths(model: nn.Module) -> dict[str, int]:
    """Return the depth of each parameter: 0 before the blocks, b + 1 in block b, then one more.

    Layers between two blocks, which downsample from stage to stage, belong to the block before.
    """
    blocks = block_names(model)
    first_blocks = _first_blocks(blocks)
    depths: dict[str, int] = {}
    depth = 0
    for name, _ in model.named_parameters():
        block = block_of(name, blocks)
        stage = STAGE_PATTERN.match(name)
        if block is not None:
            depth = block + 1
        elif stage and stage.groups() in first_blocks:
            depths[name] = first_blocks[stage.groups()]
            continue
        elif depth == len(blocks):
            depth += 1
        depths[name] = depth
    return depths


def _first_blocks(blocks: Sequence[str]) -> dict[tuple[str, ...], int]:
    """Return the number of the first block of each stage; empty without `STAGE_PATTERN`."""
    found: dict[tuple[str, ...], int] = {}
    for number, name in enumerate(blocks):
        if stage := STAGE_PATTERN.match(name):
            found.setdefault(stage.groups(), number)
    return found


class WarmupCosine(LambdaLR):
    """Linear warm-up over `warmup_steps`, then cosine decay to 0 at `total_steps`."""

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
        """Replace the peak rates and weight decays by those of `groups`, at the current step."""
        self.base_lrs = [group["lr"] for group in groups]
        for group, wanted, factor in zip(
            self.optimizer.param_groups, groups, self.lr_lambdas, strict=True
        ):
            group["weight_decay"] = wanted["weight_decay"]
            group["initial_lr"] = wanted["lr"]
            group["lr"] = wanted["lr"] * factor(self.last_epoch)
