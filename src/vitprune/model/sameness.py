"""Whether the weights of a checkpoint fit a model."""

from collections.abc import Iterable, Mapping

from torch import Tensor

from vitprune.errors import UsageError


def check_same_model(model: Mapping[str, Tensor], checkpoint: Mapping[str, Tensor]) -> None:
    """Check that a checkpoint has the parameter names and shapes of a model.

    Raises:
        UsageError: If names or shapes differ; the message has the first difference.

    """
    check_plain(checkpoint)
    ours = {name: tuple(value.shape) for name, value in model.items()}
    theirs = {name: tuple(value.shape) for name, value in checkpoint.items()}
    for name in [*ours, *theirs]:
        if ours.get(name) != theirs.get(name):
            raise UsageError(
                f"the checkpoint belongs to another model: {name} is "
                f"{_describe(theirs.get(name))} in "
                f"the checkpoint and {_describe(ours.get(name))} here."
            )


def check_plain(names: Iterable[str]) -> None:
    """Raise `UsageError` if there are masks among the weights, as vitprune 0.1 saved them."""
    if any(name.endswith(".parametrizations.weight.0.keep") for name in names):
        raise UsageError(
            "the checkpoint was saved by an earlier version of vitprune, with masks among its "
            "weights. Resume it with that version, or start a new run from its export."
        )


def _describe(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else f"of shape {shape}"
