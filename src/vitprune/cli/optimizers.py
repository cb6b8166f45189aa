"""`--optimizer` and `--lr_scheduler`: classes in place of AdamW, and of warm-up and cosine."""

from dataclasses import replace
from pydoc import locate

from jsonargparse import Namespace
from lightning.pytorch.utilities.model_helpers import is_overridden

from vitprune.cli.arguments import arguments_of
from vitprune.errors import UsageError
from vitprune.model import ViTClassifier
from vitprune.model.optimization import Choice


def choose_optimization(
    model: ViTClassifier, optimizer: Namespace | None, scheduler: Namespace | None
) -> None:
    """Let a model train by the classes of a configuration, as far as they are set.

    Raises:
        UsageError: If the class of the model configures its optimizers itself.

    """
    if not optimizer and not scheduler:
        return
    if is_overridden("configure_optimizers", model, ViTClassifier):
        raise UsageError(
            f"{type(model).__name__}.configure_optimizers defines optimizer and schedule. Remove "
            "it, or omit --optimizer and --lr_scheduler."
        )
    model.optimization = replace(
        model.optimization, optimizer=_choice(optimizer), scheduler=_choice(scheduler)
    )


def _choice(setting: Namespace | None) -> Choice | None:
    if not setting:
        return None
    kind = locate(setting.class_path)
    assert isinstance(kind, type)  # the parser has checked it
    return Choice(kind, arguments_of(setting).as_dict())
