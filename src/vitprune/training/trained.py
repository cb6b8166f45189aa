"""The parameters in training."""

from lightning import Trainer
from torch import nn


def trained_parameters(trainer: Trainer) -> set[nn.Parameter] | None:
    """Return the parameters that optimizers train; None before there are optimizers."""
    if not trainer.optimizers:
        return None
    groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
    return {parameter for group in groups for parameter in group["params"]}
