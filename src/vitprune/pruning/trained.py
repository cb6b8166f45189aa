"""Which parameters training changes."""

from collections.abc import Set

from torch import nn


def why_untrained(parameter: nn.Parameter, trained: Set[nn.Parameter] | None) -> str | None:
    """Return why training does not change a parameter; None if it does.

    Args:
        parameter: A parameter of the model.
        trained: The parameters of all optimizers; None if they are not known yet.

    """
    if not parameter.requires_grad:
        return "frozen"
    if trained is not None and parameter not in trained:  # tensors are hashed by identity
        return "no optimizer trains it"
    return None
