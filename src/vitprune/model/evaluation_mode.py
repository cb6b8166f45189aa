"""Evaluation mode without what a model keeps from evaluations with other weights."""

from torch import nn


def begin_evaluation(module: nn.Module) -> None:
    """Put a module into evaluation mode.

    LeViT keeps its attention biases of the first evaluation until `train()` is called, which
    Lightning does not do: it restores the mode of each module by its attribute.
    """
    module.train()
    module.eval()
