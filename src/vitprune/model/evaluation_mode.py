"""Evaluation mode without values that a model has cached for earlier weights."""

from torch import nn


def begin_evaluation(module: nn.Module) -> None:
    """Put a module into evaluation mode.

    LeViT caches its attention biases in evaluation until `train()` is called. Lightning does not
    call it, but restores the mode of each module by its attribute.
    """
    module.train()
    module.eval()
