"""Optimizer, its parameter groups, and the learning-rate schedule."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lightning import Trainer
from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import block_names, block_of, find_layers
from vitprune.model.anatomy.names import STAGE_PATTERN


@dataclass(frozen=True)
class Choice:
    """A class of optimizers or learning-rate schedulers, and its arguments but the first."""

    kind: type
    arguments: dict[str, Any]

    def build(self, first: object) -> Any:
        """Return an instance.

        Args:
            first: Parameter groups of an optimizer, or the optimizer of a scheduler.

        Raises:
            UsageError: If the class refuses its arguments.

        """
        try:
            return self.kind(first, **self.arguments)
        except (ValueError, TypeError) as error:
            raise UsageError(f"{self.kind.__name__}: {error}.") from error


@dataclass(frozen=True)
class Optimization:
    """How a classifier is trained: by AdamW with linear warm-up and cosine decay, or as chosen.

    Attributes:
        learning_rate: Learning rate of AdamW at its peak.
        weight_decay: Decoupled weight decay; see `parameter_groups`.
        layer_decay: Factor of the learning rate from each block to the one below, in (0, 1].
        warmup_fraction: Share of all steps used for warm-up, in [0, 1).
        optimizer: Optimizer in place of AdamW. Its `lr` and `weight_decay` replace those above.
        scheduler: Scheduler in place of warm-up and cosine, which steps once per epoch.

    Raises:
        UsageError: If a value is out of its range.

    """

    learning_rate: float
    weight_decay: float
    layer_decay: float
    warmup_fraction: float
    optimizer: Choice | None = None
    scheduler: Choice | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        if self.learning_rate <= 0:
            raise UsageError(f"model.learning_rate must be positive, not {self.learning_rate}.")
        if not 0 <= self.warmup_fraction < 1:
            raise UsageError(
                f"model.warmup_fraction must lie in [0, 1), not {self.warmup_fraction}."
            )
        if not 0 < self.layer_decay <= 1:
            raise UsageError(f"model.layer_decay must lie in (0, 1], not {self.layer_decay}.")

    @property
    def names(self) -> dict[str, str | None]:
        """Import paths of the chosen classes, which a resume must share with its checkpoint."""
        return {"optimizer": _path(self.optimizer), "lr_scheduler": _path(self.scheduler)}

    def groups(self, model: nn.Module) -> list[dict]:
        """Return the parameter groups of the optimizer."""
        chosen = self.optimizer.arguments if self.optimizer else {}
        return parameter_groups(
            model,
            chosen.get("lr", self.learning_rate),
            chosen.get("weight_decay", 0.0) if self.optimizer else self.weight_decay,
            self.layer_decay,
        )

    def configure(self, model: nn.Module, trainer: Trainer) -> dict[str, Any]:
        """Return the optimizer and the learning-rate scheduler, as Lightning takes them.

        Raises:
            UsageError: If a class refuses its arguments, or the length of training is not known.

        """
        optimizer = (self.optimizer or Choice(AdamW, {"lr": self.learning_rate})).build(
            self.groups(model)
        )
        if self.scheduler is None:
            schedule = {"scheduler": self._warmup_cosine(optimizer, trainer), "interval": "step"}
        else:
            scheduler: LRScheduler = self.scheduler.build(optimizer)
            schedule = {"scheduler": scheduler}
            if monitor := getattr(scheduler, "monitor", None):  # of Lightning's ReduceLROnPlateau
                schedule["monitor"] = monitor
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def _warmup_cosine(self, optimizer: Optimizer, trainer: Trainer) -> "WarmupCosine":
        total = trainer.estimated_stepping_batches
        if total in (-1, math.inf):
            raise UsageError(
                "the cosine learning-rate schedule needs the length of training. Set "
                "trainer.max_epochs or trainer.max_steps."
            )
        return WarmupCosine(optimizer, int(self.warmup_fraction * total), int(total))


def _path(choice: Choice | None) -> str | None:
    return f"{choice.kind.__module__}.{choice.kind.__name__}" if choice else None


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
