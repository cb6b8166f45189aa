"""Whether weights are of a model."""

from collections.abc import Mapping

from torch import Tensor

from vitprune.errors import UsageError


def check_same_model(model: Mapping[str, Tensor], checkpoint: Mapping[str, Tensor]) -> None:
    """Refuse the weights of a checkpoint that are of another model than these, naming the first
    difference.

    Raises:
        UsageError: If names or shapes differ.

    """
    ours = {name: tuple(value.shape) for name, value in model.items()}
    theirs = {name: tuple(value.shape) for name, value in checkpoint.items()}
    for name in [*ours, *theirs]:
        if ours.get(name) != theirs.get(name):
            raise UsageError(
                f"the checkpoint is of another model: {name} is {_describe(theirs.get(name))} in "
                f"the checkpoint and {_describe(ours.get(name))} here."
            )


def _describe(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else f"of shape {shape}"
